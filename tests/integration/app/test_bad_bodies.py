"""Bad input to POST /v1/deletion-requests: a clear problem each, and nothing changed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import client_for
from tests.integration.app.support import (
    REQUESTS,
    assert_problem,
    assert_some_problem,
    post,
)

pytestmark = pytest.mark.usefixtures("nothing_changes")

JSON = {"Content-Type": "application/json"}


def test_an_empty_list_is_refused(reader: TestClient) -> None:
    problem = assert_problem(post(reader, []), 422, "invalid-request")
    assert "sample_ids" in problem["detail"]


def test_100_001_ids_are_refused_with_the_limit(reader: TestClient) -> None:
    refused = post(reader, [f"person-{number}" for number in range(100_001)])
    problem = assert_problem(refused, 422, "too-many-samples")
    assert "100000" in problem["detail"]


MALFORMED = [
    b"",
    b"{",
    b'{"model": "digits", "sample_ids": ["person-1"',
    b"{'model': 'digits'}",
    b"model=digits",
    b'{"model": "digits", "sample_ids": ["\xff\xfe"]}',
    b"\x80\x04\x95",
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json_is_refused(reader: TestClient, content: bytes) -> None:
    answer = reader.post(REQUESTS, content=content, headers=JSON)
    if content:
        assert_problem(answer, 400, "malformed-json")
    else:
        assert_some_problem(answer)


WRONG: list[Any] = [
    None,
    [],
    "digits",
    {},
    {"model": "digits"},
    {"sample_ids": ["person-1"]},
    {"model": 5, "sample_ids": ["person-1"]},
    {"model": None, "sample_ids": ["person-1"]},
    {"model": "Not A Name", "sample_ids": ["person-1"]},
    {"model": "digits", "sample_ids": "person-1"},
    {"model": "digits", "sample_ids": None},
    {"model": "digits", "sample_ids": {"person-1": 1}},
    {"model": "digits", "sample_ids": [1]},
    {"model": "digits", "sample_ids": [None]},
    {"model": "digits", "sample_ids": [["person-1"]]},
    {"model": "digits", "sample_ids": ["person-1", True]},
    {"model": "digits", "sample_ids": ["person-1", ""]},
    {"model": "digits", "sample_ids": ["x" * 256]},
    {"model": "digits", "sample_ids": ["person-1"], "reference": 7},
    {"model": "digits", "sample_ids": ["person-1"], "reference": "x" * 256},
    {"model": "digits", "sample_ids": ["person-1"], "reference": "a\nb"},
    {"model": "digits", "sample_ids": ["person-1"], "deadline": "soon"},
    {"model": "digits", "sample_ids": ["person-1"], "deadline": "2030-01-01T00:00:00"},
    {"model": "digits", "sample_ids": ["person-1"], "sample_id": "person-2"},
]


def test_wrong_types_are_refused(reader: TestClient) -> None:
    for body in WRONG:
        assert_problem(reader.post(REQUESTS, json=body), 422, "invalid-request")


def test_ids_with_control_characters_are_refused(reader: TestClient) -> None:
    for code in [*range(0x20), *range(0x7F, 0xA0)]:
        for sample_id in (f"person{chr(code)}1", f"person-1{chr(code)}", chr(code)):
            refused = post(reader, ["person-1", sample_id])
            problem = assert_problem(refused, 422, "invalid-request")
            assert "sample_ids/1" in problem["detail"]


def test_an_unpaired_surrogate_is_refused_wherever_it_stands(reader: TestClient) -> None:
    for content in (
        '{"model": "digits", "sample_ids": ["\\ud800"]}',
        '{"model": "digits", "sample_ids": ["person-1"], "reference": "\\udfff"}',
        '{"model": "\\ud800", "sample_ids": ["person-1"]}',
        '{"model": "digits", "sample_ids": ["person-1"], "\\ud800": 1}',
    ):
        assert_some_problem(reader.post(REQUESTS, content=content, headers=JSON))


def test_a_body_that_is_not_declared_json_is_refused(reader: TestClient) -> None:
    content = json.dumps({"model": "digits", "sample_ids": ["person-1"]})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream"):
        answer = reader.post(REQUESTS, content=content, headers={"Content-Type": kind})
        assert_some_problem(answer)


def test_a_body_over_the_limit_is_refused_before_it_is_read(unchanged: Settings) -> None:
    small = unchanged.model_copy(update={"max_body_bytes": 2048})
    with client_for(small) as reader:
        refused = post(reader, [f"person-{number}" for number in range(500)])
        assert "2048" in assert_problem(refused, 413, "body-too-large")["detail"]


def test_a_body_over_the_limit_that_does_not_say_so_is_refused(unchanged: Settings) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"model": "digits", "sample_ids": ["person-1"'
        for number in range(500):
            yield f', "person-{number}"'.encode()
        yield b"]}"

    small = unchanged.model_copy(update={"max_body_bytes": 2048})
    with client_for(small) as reader:
        answer = reader.post(REQUESTS, content=chunks(), headers=JSON)
        assert "content-length" not in answer.request.headers
        assert_problem(answer, 413, "body-too-large")


def test_a_second_content_type_does_not_make_room_for_a_larger_body(unchanged: Settings) -> None:
    small = unchanged.model_copy(update={"max_body_bytes": 2048})
    twice = [*JSON.items(), ("Content-Type", "application/x-ndjson")]
    with client_for(small) as client:
        assert_problem(
            client.post(REQUESTS, content=b" " * 4096, headers=twice), 413, "body-too-large"
        )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models"),
        ("PATCH", "/v1/models/digits/policy"),
        ("POST", "/v1/runs/00000000-0000-0000-0000-000000000001/approve"),
    ],
)
def test_what_is_no_list_of_sample_ids_is_not_taken_at_their_length(
    reader: TestClient, method: str, path: str
) -> None:
    refused = reader.request(method, path, content=b" " * 65_537, headers=JSON)
    assert "65536" in assert_problem(refused, 413, "body-too-large")["detail"]


def test_the_default_limit_of_a_body_is_kept(reader: TestClient, unchanged: Settings) -> None:
    refused = reader.post(REQUESTS, content=b" " * (unchanged.max_body_bytes + 1), headers=JSON)
    assert_problem(refused, 413, "body-too-large")
