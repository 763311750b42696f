"""What is set wrong when a process starts: one sentence, exit code 1, and no secret."""

import socket
from pathlib import Path

import pytest

from models.settings import Settings
from tests.integration.test_command import (
    Ended,
    Environment,
    bare_environment,
    environment_of,
    expunge,
)

SECRET = "s3cret-word"
UNREADABLE = f"postgresql://u:{SECRET}@host:port/d"
AWAY = f"postgresql://u:{SECRET}@127.0.0.1:1/d"


@pytest.fixture
def environment(settings: Settings) -> Environment:
    return environment_of(settings)


def only_line(ended: Ended) -> str:
    """What a command that was refused has said."""
    assert ended.returncode == 1, ended.stderr
    [line] = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize(
    ("command", "wrong", "words"),
    [
        ("gateway", {"EXPUNGE_API_KEYS": f"[{SECRET}]"}, "EXPUNGE_API_KEYS is not JSON"),
        ("migrate", {"DATABASE_URL": UNREADABLE}, "DATABASE_URL cannot be read"),
        ("steward", {"REDIS_URL": f"x://:{SECRET}@h"}, "REDIS_URL cannot be read"),
        ("migrate", {"DATABASE_URL": AWAY}, "database cannot be reached: connection failed"),
        ("scrub", {"DATABASE_URL": AWAY}, "Check DATABASE_URL"),
    ],
)
def test_a_mistake_is_one_line(
    environment: Environment, command: str, wrong: Environment, words: str
) -> None:
    ended = expunge(command, environment={**environment, **wrong})
    line = only_line(ended)
    assert words in line
    assert SECRET not in line


def test_a_port_that_somebody_has_is_one_line_before_anything_is_started(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        environment = {
            **bare_environment(),
            "EXPUNGE_DATA_DIR": str(data),
            "EXPUNGE_GATEWAY_PORT": str(port),
        }
        line = only_line(expunge("up", environment=environment))
        assert f"Port {port} of 127.0.0.1 is taken" in line
        assert "EXPUNGE_GATEWAY_PORT" in line
        # On all addresses it is not free either.
        everywhere = {**environment, "EXPUNGE_GATEWAY_HOST": "0.0.0.0"}
        assert f"Port {port}" in only_line(expunge("up", environment=everywhere))
    assert not data.exists()


def test_an_address_that_is_not_this_machines_is_one_line_before_anything_is_started(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    environment = {
        **bare_environment(),
        "EXPUNGE_DATA_DIR": str(data),
        # Nobody has it: it is for examples.
        "EXPUNGE_GATEWAY_HOST": "203.0.113.1",
    }
    line = only_line(expunge("up", environment=environment))
    assert "203.0.113.1" in line
    assert "EXPUNGE_GATEWAY_HOST" in line
    assert not data.exists()


def test_a_folder_in_the_demos_place_is_one_line_and_stays(tmp_path: Path) -> None:
    photograph = tmp_path / "demo" / "photograph.jpg"
    photograph.parent.mkdir()
    photograph.write_text("of somebody")
    environment = {**bare_environment(), "EXPUNGE_DATA_DIR": str(tmp_path)}
    assert str(photograph.parent) in only_line(expunge("demo", environment=environment))
    assert [photograph] == list(photograph.parent.iterdir())
