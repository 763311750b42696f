"""What is set wrong when a process starts: one sentence, exit code 1, and no secret."""

import pytest

from models.settings import Settings
from tests.integration.test_command import (
    Environment,
    environment_of,
    expunge,
)

SECRET = "s3cret-word"
UNREADABLE = f"postgresql://u:{SECRET}@host:port/d"
AWAY = f"postgresql://u:{SECRET}@127.0.0.1:1/d"


@pytest.fixture
def environment(settings: Settings) -> Environment:
    return environment_of(settings)


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
    assert ended.returncode == 1, ended.stderr
    [line] = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert SECRET not in line
