"""A file that is not what was stored is not served: not whole, not in parts, not its head."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.artifacts import Artifact, open_store
from models.settings import Settings
from tests.integration.app.support import CHECKPOINTS, assert_problem, execute

FILE = f"{CHECKPOINTS}/0/file"


@pytest.fixture
def stored(client: TestClient, enrolled: Settings) -> Path:
    """A copy of the served file that is this test's own: artifacts are shared between tests."""
    content = client.get(FILE).content + enrolled.database_url.encode()
    artifact = open_store(enrolled.artifact_store_url).put(lambda file: _write(file, content))
    execute(
        enrolled,
        f"UPDATE checkpoint SET sha256 = '{artifact.sha256}', size = {artifact.size}",
    )
    return open_store(enrolled.artifact_store_url).sized_path(
        Artifact(artifact.sha256, artifact.size)
    )


def flip(path: Path) -> None:
    """One bit, in place."""
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)[0]
        file.seek(1000)
        file.write(bytes([byte ^ 1]))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def swap(path: Path) -> None:
    """Another file of the same size in its place."""
    other = path.with_suffix(".other")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: list[Callable[[Path], None]] = [flip, truncate, extend, swap, empty]


def assert_refused(client: TestClient) -> None:
    assert_problem(client.get(FILE), 500, "artifact-damaged")
    for headers in ({"Range": "bytes=0-9"}, {"Range": "bytes=0-1,5-6"}):
        assert_problem(client.get(FILE, headers=headers), 500, "artifact-damaged")
    for headers in ({}, {"Range": "bytes=0-9"}):
        head = client.head(FILE, headers=headers)
        assert (head.status_code, head.content) == (500, b"")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_file_that_was_damaged_before_it_was_ever_served_is_refused(
    client: TestClient, stored: Path, damage: Callable[[Path], None]
) -> None:
    damage(stored)
    assert_refused(client)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_file_that_is_damaged_after_it_was_served_is_refused_until_it_is_restored(
    client: TestClient, stored: Path, damage: Callable[[Path], None]
) -> None:
    whole = client.get(FILE)
    assert whole.status_code == 200

    damage(stored)
    assert_refused(client)

    stored.write_bytes(whole.content)
    assert client.get(FILE).content == whole.content


def test_what_the_steward_found_damaged_is_refused(
    client: TestClient, enrolled: Settings, stored: Path
) -> None:
    execute(
        enrolled,
        "INSERT INTO artifact_check (sha256, size, checked_at, fault) "
        f"VALUES ('{stored.name}', {stored.stat().st_size}, now(), 'flipped')",
    )
    assert_refused(client)
    execute(enrolled, "UPDATE artifact_check SET fault = NULL")
    assert client.get(FILE).status_code == 200


def test_a_file_that_does_not_change_is_read_for_its_digest_once(
    client: TestClient, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get(FILE).status_code == 200
    # Its bytes cannot be hashed any more: whoever tries, fails.
    hashed: list[Any] = []
    monkeypatch.setattr("hashlib.file_digest", lambda *given: hashed.append(given))
    assert client.get(FILE, headers={"Range": "bytes=0-9"}).status_code == 206
    assert client.head(FILE).status_code == 200
    assert not hashed


def _write(file: Any, content: bytes) -> None:
    file.write(content)
