"""Checkpoints: the lineage, `latest`, and versions that are no longer served."""

import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits
from tests.integration.app.support import (
    CHECKPOINTS,
    assert_problem,
    assert_some_problem,
    forget,
)


def test_every_version_is_listed_newest_first(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    second = forget(client, enrolled, digits.of_label(5))

    listed = client.get(CHECKPOINTS).json()["checkpoints"]

    assert [one["version"] for one in listed] == [2, 1, 0]
    assert [one["parent_version"] for one in listed] == [1, 0, None]
    assert [one["run"] for one in listed] == [second["run"]["id"], forgotten["run"]["id"], None]
    assert len({one["sha256"] for one in listed}) == 3
    assert [one["withdrawn_at"] is None for one in listed] == [True, False, False]
    for one in listed:
        assert client.get(f"{CHECKPOINTS}/{one['version']}").json() == one


def test_a_version_shows_digest_and_size_of_its_file(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    view = client.get(f"{CHECKPOINTS}/1").json()
    content = client.get(view["file"]).content

    assert view["sha256"] == hashlib.sha256(content).hexdigest()
    assert view["size"] == len(content)


def test_latest_redirects_to_the_version_that_does_not_change(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    def location(path: str, method: str = "GET") -> str:
        answer = client.request(method, f"{CHECKPOINTS}/{path}", follow_redirects=False)
        assert answer.status_code == 307
        return str(answer.headers["Location"])

    assert location("latest") == f"{CHECKPOINTS}/1"
    assert location("latest/file") == f"{CHECKPOINTS}/1/file"
    assert location("latest/file", "HEAD") == f"{CHECKPOINTS}/1/file"
    forget(client, enrolled, digits.of_label(5))
    assert location("latest") == f"{CHECKPOINTS}/2"


def test_before_anything_is_forgotten_the_base_is_the_latest(reader: TestClient) -> None:
    assert reader.get(f"{CHECKPOINTS}/latest").json()["version"] == 0
    assert reader.get(f"{CHECKPOINTS}/latest/file").status_code == 200


def test_versions_that_carry_a_forgotten_sample_are_gone_the_base_too(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    assert_problem(client.get(f"{CHECKPOINTS}/0/file"), 410, "checkpoint-withdrawn")
    assert client.get(f"{CHECKPOINTS}/1/file").status_code == 200

    forget(client, enrolled, digits.of_label(5))

    for version in (0, 1):
        path = f"{CHECKPOINTS}/{version}/file"
        assert_problem(client.get(path), 410, "checkpoint-withdrawn")
        assert client.head(path).status_code == 410
    assert client.get(f"{CHECKPOINTS}/2/file").status_code == 200


def test_no_header_brings_a_withdrawn_version_back(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    base = client.get(f"{CHECKPOINTS}/0/file")
    forget(client, enrolled, digits.of_label(3))

    for headers in (
        {"If-None-Match": base.headers["ETag"]},
        {"If-None-Match": "*"},
        {"Range": "bytes=0-9"},
        {"Range": "bytes=0-9", "If-Range": base.headers["ETag"]},
    ):
        answer = client.get(f"{CHECKPOINTS}/0/file", headers=headers)
        assert_problem(answer, 410, "checkpoint-withdrawn")


@pytest.mark.parametrize("version", ["7", str(2**62)])
def test_a_version_that_never_was_is_unknown(reader: TestClient, version: str) -> None:
    for path in (f"{CHECKPOINTS}/{version}", f"{CHECKPOINTS}/{version}/file"):
        assert_problem(reader.get(path), 404, "unknown-checkpoint")


@pytest.mark.parametrize("version", ["-1", "first", "1.5", "9" * 40])
def test_what_is_no_version_is_a_problem(reader: TestClient, version: str) -> None:
    for path in (f"{CHECKPOINTS}/{version}", f"{CHECKPOINTS}/{version}/file"):
        assert_some_problem(reader.get(path))
