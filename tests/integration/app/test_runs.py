"""GET /v1/runs: what admins poll."""

import uuid
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import cursors
from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import (
    assert_problem,
    assert_some_problem,
    enrolment,
    execute,
    forget,
    pages,
    post,
)
from workers import pipeline as steps
from workers.resources import Resources
from workers.transactions.claims import claim


@pytest.fixture
def three_runs(client: TestClient, enrolled: Settings, digits: Digits) -> list[str]:
    """The IDs of three runs that found something to forget, oldest first."""
    return [forget(client, enrolled, digits.of_label(label))["run"]["id"] for label in (3, 5, 8)]


def test_a_run_shows_phase_attempt_verdict_and_seconds_per_phase(
    client: TestClient, digits: Digits, forgotten: dict[str, Any]
) -> None:
    run = client.get(forgotten["run"]["href"]).json()

    assert run["model"] == "digits"
    assert run["state"] == "published"
    assert run["attempt"] == 1
    assert run["items"] == len(digits.of_label(3))
    assert (run["parent_version"], run["version"]) == (0, 1)
    assert run["failure"] is None
    assert run["finished_at"] > run["created_at"]
    assert {"load", "weigh", "tune", "verify", "store"} <= set(run["timings"])
    assert all(seconds >= 0 for seconds in run["timings"].values())
    assert {"phase", "progress"} <= set(run)
    figures = run["verdict"]["figures"]
    for network in ("base", "candidate"):
        assert {"forgotten", "retained", "holdout"} <= set(figures[network])


def test_an_admin_stops_a_run_and_its_items_are_taken_up_again(
    client: TestClient, resources: Resources, digits: Digits
) -> None:
    posted = post(client, digits.of_label(3))
    run = claim(uuid.UUID(client.get("/v1/models/digits").json()["id"]), resources)
    assert run is not None

    stopped = client.post(f"/v1/runs/{run.id}/cancel")
    assert stopped.status_code == 202
    assert stopped.json()["cancel_requested_at"]
    steps.unlearn(run, resources)

    assert client.get(f"/v1/runs/{run.id}").json()["state"] == "cancelled"
    assert_problem(client.post(f"/v1/runs/{run.id}/cancel"), 409, "run-not-running")
    work(resources.settings)
    view = client.get(posted.headers["Location"]).json()
    assert view["status"] == "settled"
    assert client.get(view["run"]["href"]).json()["attempt"] == 1


def test_only_admins_stop_runs_and_only_such_as_there_are(
    client: TestClient, pipeline: TestClient
) -> None:
    nobody = f"/v1/runs/{uuid.uuid4()}/cancel"
    assert_problem(client.post(nobody), 404, "unknown-run")
    assert_problem(pipeline.post(nobody), 403, "not-permitted")


def test_waiting_requests_share_one_run(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    posted = [post(client, digits.of_label(label)) for label in (3, 5)]
    work(enrolled)

    views = [client.get(answer.headers["Location"]).json() for answer in posted]
    assert views[0]["run"]["id"] == views[1]["run"]["id"]
    assert len(client.get("/v1/runs").json()["runs"]) == 1


def test_runs_are_listed_newest_first_and_walked_page_by_page(
    client: TestClient, three_runs: list[str]
) -> None:
    assert [run["id"] for run in client.get("/v1/runs").json()["runs"]] == three_runs[::-1]
    for limit in (1, 2, 3):
        walked = [
            run["id"] for page in pages(client, "/v1/runs", limit=limit) for run in page["runs"]
        ]
        assert walked == three_runs[::-1]


def test_a_list_has_everything_of_a_run_but_its_verdict_only_in_short(
    client: TestClient, three_runs: list[str]
) -> None:
    for listed in client.get("/v1/runs").json()["runs"]:
        run = client.get(f"/v1/runs/{listed['id']}").json()
        in_short = {name: run["verdict"][name] for name in ("outcome", "reasons", "rung")}
        assert listed == {**run, "verdict": in_short}


def test_a_list_of_large_verdicts_is_small(
    client: TestClient, enrolled: Settings, forgotten: dict[str, Any]
) -> None:
    execute(
        enrolled,
        """
        UPDATE unlearning_run SET verdict = verdict || jsonb_build_object(
            'outcome', 'needs_review',
            'reasons', (SELECT jsonb_agg('label ' || number) FROM generate_series(1, 1000) number),
            'ladder', (SELECT jsonb_agg(rung) FROM generate_series(1, 1000),
                       (SELECT verdict -> 'ladder' -> 0 AS rung) AS first),
            'rung', 2
        )
        """,
    )
    answer = client.get("/v1/runs")
    (listed,) = answer.json()["runs"]

    assert len(answer.content) < 4096
    assert listed["verdict"] == {
        "outcome": "needs_review",
        "reasons": [f"label {number}" for number in range(1, 11)],
        "rung": 2,
    }
    run = client.get(f"/v1/runs/{listed['id']}").json()
    assert len(run["verdict"]["reasons"]) == 1000
    assert len(run["verdict"]["ladder"]) == 1000


def test_a_run_that_has_not_ended_is_listed_without_a_verdict(
    client: TestClient, resources: Resources, digits: Digits
) -> None:
    post(client, digits.of_label(3))
    run = claim(uuid.UUID(client.get("/v1/models/digits").json()["id"]), resources)
    assert run is not None
    (listed,) = client.get("/v1/runs").json()["runs"]
    assert (listed["id"], listed["state"], listed["verdict"]) == (str(run.id), "running", None)


def test_runs_are_filtered_by_model_and_state(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    client.post("/v1/models", json=enrolment(digits, "second"))
    work(enrolled)

    def listed(query: str) -> list[str]:
        return [run["id"] for run in client.get(f"/v1/runs?{query}").json()["runs"]]

    only = [forgotten["run"]["id"]]
    assert listed("model=digits") == only
    assert listed("model=second") == []
    assert listed("state=published") == only
    assert listed("state=failed") == []
    assert listed("state=published&model=digits") == only
    assert listed("state=published&model=second") == []


def test_unknown_runs_models_and_states_are_problems(reader: TestClient) -> None:
    assert_problem(reader.get(f"/v1/runs/{uuid.uuid4()}"), 404, "unknown-run")
    assert_problem(reader.get("/v1/runs?model=nowhere"), 404, "unknown-model")
    assert_problem(reader.get("/v1/runs?state=happy"), 422, "invalid-request")
    assert_some_problem(reader.get("/v1/runs/not-an-id"))


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        cursors.encode([3]),
        cursors.encode(["yesterday", "not-an-id"]),
        cursors.encode(["2026-01-01T00:00:00+00:00", "not-an-id"]),
        cursors.encode(["yesterday", str(uuid.UUID(int=1))]),
    ],
)
def test_a_cursor_that_was_not_issued_is_refused(reader: TestClient, cursor: str) -> None:
    answer = reader.get("/v1/runs", params={"cursor": cursor})
    assert_problem(answer, 400, "invalid-cursor")
