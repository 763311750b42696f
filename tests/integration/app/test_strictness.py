"""What would be ignored or misread is refused: a deletion is not undone."""

import json

import pytest
from fastapi.testclient import TestClient

from tests.integration.app.support import REQUESTS, assert_problem, assert_some_problem, post

NDJSON = {"Content-Type": "application/x-ndjson"}
RUN = "/v1/runs/00000000-0000-0000-0000-000000000001"
WRITES = [
    ("POST", "/v1/models"),
    ("PATCH", "/v1/models/digits/policy"),
    ("POST", f"{RUN}/approve"),
    ("POST", f"{RUN}/reject"),
]

pytestmark = pytest.mark.usefixtures("nothing_changes")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("model=digits&dry_run=true", "dry_run"),
        ("model=digits&Mode=dry_run", "Mode"),
        ("model=digits&mode=dry_run&mode=delete", "mode"),
        ("model=other&model=digits", "model"),
    ],
)
def test_a_dry_run_that_is_asked_for_in_other_words_deletes_nothing(
    reader: TestClient, query: str, name: str
) -> None:
    answer = reader.post(f"{REQUESTS}?{query}", content=b'"person-1"\n', headers=NDJSON)
    problem = assert_problem(answer, 422, "invalid-request")
    assert [each["pointer"] for each in problem["errors"]] == [f"/query/{name}"]


def test_a_body_of_json_has_no_other_parameters_beside_it(reader: TestClient) -> None:
    body = {"model": "digits", "sample_ids": ["person-1"]}
    answer = reader.post(f"{REQUESTS}?dry_run=true", json=body)
    assert_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs?staet=needs_review",
        "/v1/runs?state=running&state=failed",
        "/v1/models?x=1",
        "/v1/models/digits?wait=0&wiat=1",
        "/v1/models/digits/exclusions?since=5",
        "/v1/models/digits/checkpoints/latest?version=0",
        "/v1/audit/records?after=5",
    ],
)
def test_a_parameter_that_a_route_has_not_is_named(reader: TestClient, path: str) -> None:
    problem = assert_problem(reader.get(path), 422, "invalid-request")
    assert problem["errors"][0]["pointer"].startswith("/query/")


def test_without_a_key_nobody_is_told_what_there_is(reader_without_key: TestClient) -> None:
    assert_problem(reader_without_key.get("/v1/runs?staet=x"), 401, "not-authenticated")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "body", ['{"a": 1, "a": 2}', '{"gate": {"min_probe": 30, "min_probe": 3}}']
)
def test_a_field_that_comes_twice_is_refused(
    reader: TestClient, method: str, path: str, body: str
) -> None:
    answer = reader.request(
        method, path, content=body, headers={"Content-Type": "application/json"}
    )
    assert "twice" in assert_problem(answer, 422, "invalid-request")["detail"]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_body_that_is_nested_too_deep_is_no_fault_of_the_service(
    reader: TestClient, method: str, path: str
) -> None:
    nested = b'{"a":' * 10_000
    answer = reader.request(
        method, path, content=nested, headers={"Content-Type": "application/json"}
    )
    assert_some_problem(answer)


@pytest.mark.parametrize(("method", "path"), [*WRITES, ("POST", REQUESTS)])
@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-16"])
def test_a_body_that_is_said_to_be_something_else_is_refused(
    reader: TestClient, method: str, path: str, kind: str
) -> None:
    answer = reader.request(method, path, content=b"{}", headers={"Content-Type": kind})
    assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"'])
def test_a_body_may_be_said_to_be_what_it_is(reader: TestClient, charset: str) -> None:
    kind = f"application/json; charset={charset}"
    answer = reader.post(REQUESTS, content=b"{}", headers={"Content-Type": kind})
    assert_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize("deadline", [5, 5.0, "5", "1893456000", "tomorrow", True])
def test_a_deadline_is_a_time_that_is_written_out(reader: TestClient, deadline: object) -> None:
    refused = post(reader, ["person-1"], deadline=deadline)
    assert_problem(refused, 422, "invalid-request")
    line = reader.post(
        REQUESTS,
        params={"model": "digits", "deadline": json.dumps(deadline).strip('"')},
        content=b'"person-1"\n',
        headers=NDJSON,
    )
    assert_problem(line, 422, "invalid-request")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/models", {"GET", "POST"}),
        (f"{REQUESTS}/00000000-0000-0000-0000-000000000001", {"GET", "DELETE"}),
        ("/v1/models/digits/checkpoints/latest/file", {"GET", "HEAD"}),
        ("/v1/models/digits/policy", {"GET", "PATCH"}),
        (REQUESTS, {"POST"}),
    ],
)
def test_all_methods_of_a_resource_are_named(
    reader: TestClient, path: str, methods: set[str]
) -> None:
    answer = reader.put(path)
    assert_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == methods


@pytest.mark.parametrize("wanted", ["bytes=a-b", "bytes=5-2", "bytes=99999999-"])
def test_who_asks_for_no_part_of_a_file_is_told_how_long_it_is(
    reader: TestClient, wanted: str
) -> None:
    path = "/v1/models/digits/checkpoints/0/file"
    size = reader.head(path).headers["Content-Length"]
    answer = reader.get(path, headers={"Range": wanted})
    assert_problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_what_other_bodies_are_too_large_for_is_not_said_of_sample_ids(reader: TestClient) -> None:
    body = b" " * 65_537
    json_kind = {"Content-Type": "application/json"}
    policy = reader.patch("/v1/models/digits/policy", content=body, headers=json_kind)
    assert "sample IDs" not in assert_problem(policy, 413, "body-too-large")["detail"]
