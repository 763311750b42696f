"""Approving and rejecting runs that wait for a review, over HTTP."""

import uuid
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import assert_problem, post

# So gentle that nothing is forgotten.
GENTLE = {"method": {"method": "fixed", "alpha": 1e9}, "gate": {"on_shortfall": "review"}}


@pytest.fixture
def waiting(client: TestClient, enrolled: Settings, digits: Digits) -> dict[str, Any]:
    """A run that waits for a review."""
    assert client.patch("/v1/models/digits/policy", json=GENTLE).status_code == 200
    posted = post(client, digits.of_label(3))
    work(enrolled)
    request = client.get(posted.headers["Location"]).json()
    assert request["status"] == "needs_review"
    run: dict[str, Any] = client.get(request["run"]["href"]).json()
    assert run["state"] == "needs_review"
    return run


def test_an_approved_rung_is_carried_out_by_another_run(
    client: TestClient, enrolled: Settings, waiting: dict[str, Any]
) -> None:
    answer = client.post(f"/v1/runs/{waiting['id']}/approve", json={"rung": 0})
    assert answer.status_code == 202
    assert answer.json()["state"] == "approved"
    assert answer.json()["review"] == {"by": "admin", "rung": 0}
    work(enrolled)
    latest = client.get("/v1/runs").json()["runs"][0]
    assert latest["carries_out"] == waiting["id"]
    assert latest["state"] == "published_short"
    assert client.get("/v1/models/digits").json()["head_version"] == 1


def test_a_rejection_settles_the_request_with_its_reason(
    client: TestClient, waiting: dict[str, Any]
) -> None:
    answer = client.post(f"/v1/runs/{waiting['id']}/reject", json={"reason": "we retrain instead"})
    assert answer.status_code == 200
    assert answer.json()["state"] == "rejected"
    record = client.get("/v1/audit/records").json()["records"][-1]
    assert (record["event"], record["actor"]) == ("run.rejected", "admin")


def test_decisions_that_cannot_be_taken_are_problems(
    client: TestClient, pipeline: TestClient, waiting: dict[str, Any]
) -> None:
    path = f"/v1/runs/{waiting['id']}"
    assert_problem(client.post(f"{path}/approve", json={"rung": 99}), 422, "unknown-rung")
    assert_problem(client.post(f"{path}/approve", json={"rung": -1}), 422, "invalid-request")
    assert_problem(client.post(f"{path}/approve", json={}), 422, "invalid-request")
    # A slip must not publish the rung beside the one that was meant.
    for slip in (True, "1", 0.0, "0"):
        assert_problem(client.post(f"{path}/approve", json={"rung": slip}), 422, "invalid-request")
    for blank in (" ", "\u00a0 \u2003"):
        refused = client.post(f"{path}/reject", json={"reason": blank})
        assert_problem(refused, 422, "invalid-request")
    assert_problem(client.post(f"{path}/reject", json={"reason": ""}), 422, "invalid-request")
    assert_problem(client.post(f"{path}/reject", json={"reason": "a\nb"}), 422, "invalid-request")
    assert_problem(pipeline.post(f"{path}/approve", json={"rung": 0}), 403, "not-permitted")
    assert_problem(
        client.post(f"/v1/runs/{uuid.uuid4()}/approve", json={"rung": 0}), 404, "unknown-run"
    )
    assert client.get(path).json()["state"] == "needs_review"
    assert client.post(f"{path}/reject", json={"reason": "no"}).status_code == 200
    assert_problem(client.post(f"{path}/approve", json={"rung": 0}), 409, "run-not-held")


def test_what_was_forgotten_cannot_be_given_back(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    assert client.patch("/v1/models/digits/policy", json=GENTLE).status_code == 200
    post(client, digits.of_label(5))
    work(enrolled)
    held = client.get("/v1/runs").json()["runs"][0]
    assert (held["state"], held["waiting"]) == ("needs_review", held["items"])
    path = f"/v1/runs/{held['id']}"
    assert_problem(client.post(f"{path}/approve", json={"rung": 0}), 422, "rung-gives-back")
    ladder = client.get(path).json()["verdict"]["ladder"]
    assert [rung["given_back"] for rung in ladder] == [["label 3"], []]
    assert client.post(f"{path}/approve", json={"rung": 1}).status_code == 202


def test_a_run_of_which_everything_was_withdrawn_has_nothing_to_decide(
    client: TestClient, waiting: dict[str, Any]
) -> None:
    (request,) = client.get(f"/v1/runs/{waiting['id']}/report").json()["requests"]
    assert client.delete(f"/v1/deletion-requests/{request['id']}").status_code == 200
    run = client.get(f"/v1/runs/{waiting['id']}").json()
    assert (run["state"], run["waiting"]) == ("needs_review", 0)
    refused = client.post(f"/v1/runs/{waiting['id']}/reject", json={"reason": "too late"})
    assert_problem(refused, 409, "run-not-held")
    assert "Nothing waits in it any more" in refused.json()["detail"]
