"""GET /v1/audit/records: what happened, in order."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import cursors
from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import assert_problem, enrolment, pages, post

RECORDS = "/v1/audit/records"


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    return [record for page in pages(client, RECORDS, **query) for record in page["records"]]


def test_the_path_of_a_request_is_on_the_record_in_order(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    records = listed(client)

    assert [record["event"] for record in records] == [
        "enrolment.requested",
        "model.enrolled",
        "request.accepted",
        "run.started",
        "checkpoint.published",
    ]
    sequence = [record["sequence"] for record in records]
    assert sequence == sorted(set(sequence))
    assert {record["model"] for record in records} == {"digits"}
    assert records[2]["actor"] == "admin"
    assert records[2]["request"] == forgotten["id"]
    assert records[3]["run"] == records[4]["run"] == forgotten["run"]["id"]


def test_records_are_walked_page_by_page(client: TestClient, forgotten: dict[str, Any]) -> None:
    everything = listed(client)
    for limit in (1, 2, 5):
        assert listed(client, limit=limit) == everything


def test_records_are_filtered_by_model_and_event(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    client.post("/v1/models", json=enrolment(digits, "second"))

    assert [record["event"] for record in listed(client, model="second")] == ["enrolment.requested"]
    requested = listed(client, event="enrolment.requested", limit=1)
    assert [record["model"] for record in requested] == ["digits", "second"]
    assert listed(client, event="enrolment.requested", model="second") == requested[1:]
    assert listed(client, event="run.failed") == []


def test_a_withdrawn_request_is_on_the_record(client: TestClient) -> None:
    posted = post(client, ["person-1"])
    client.delete(posted.headers["Location"])

    (record,) = listed(client, event="request.cancelled")
    assert record["request"] == posted.json()["id"]


def test_records_hold_no_sample_id(client: TestClient, enrolled: Settings, digits: Digits) -> None:
    post(client, [*digits.of_label(3), "nobody-known"])
    work(enrolled)

    text = json.dumps(listed(client))
    assert "person-" not in text
    assert "nobody-known" not in text


def test_unknown_filters_are_problems(reader: TestClient) -> None:
    assert_problem(reader.get(RECORDS, params={"model": "nowhere"}), 404, "unknown-model")
    assert_problem(reader.get(RECORDS, params={"event": "sun.rose"}), 422, "invalid-request")
    assert_problem(reader.get(RECORDS, params={"limit": 0}), 422, "invalid-request")


@pytest.mark.parametrize("cursor", ["nonsense", cursors.encode(["a"]), cursors.encode([1, 2])])
def test_a_cursor_that_was_not_issued_is_refused(reader: TestClient, cursor: str) -> None:
    assert_problem(reader.get(RECORDS, params={"cursor": cursor}), 400, "invalid-cursor")
