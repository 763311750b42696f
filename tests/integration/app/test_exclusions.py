"""GET /v1/models/{model}/exclusions: what to retrain without."""

import json

from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import assert_problem, execute, forget, post

PATH = "/v1/models/digits/exclusions"


def excluded(client: TestClient) -> dict[str, str]:
    """Sample IDs and their states."""
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return {line["sample_id"]: line["state"] for line in lines}


def test_nothing_is_excluded_before_anything_was_asked(client: TestClient) -> None:
    assert excluded(client) == {}


def test_every_sample_whose_deletion_was_asked_for_is_listed_with_its_state(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    forget(client, enrolled, digits.of_label(3))
    # Held, because such a setting forgets nothing; then rejected.
    gentle = {"method": {"method": "fixed", "alpha": 1e9}, "gate": {"on_shortfall": "review"}}
    client.patch("/v1/models/digits/policy", json=gentle)
    post(client, digits.of_label(5))
    work(enrolled)
    run = client.get("/v1/runs").json()["runs"][0]
    client.post(f"/v1/runs/{run['id']}/reject", json={"reason": "later"})
    post(client, digits.of_label(8)[:2])
    post(client, digits.of_label(1)[:2], mode="dry_run")
    # Given up: the network still knows them.
    given_up = {"failed": digits.of_label(9)[:1], "quarantined": digits.of_label(9)[1:2]}
    for outcome, samples in given_up.items():
        request_id = post(client, samples).json()["id"]
        execute(
            enrolled,
            f"UPDATE deletion_item SET outcome = '{outcome}' WHERE request_id = '{request_id}'",
        )
    cancelled = post(client, digits.of_label(2)[:1])
    client.delete(cancelled.headers["Location"])

    assert excluded(client) == {
        **dict.fromkeys(digits.of_label(3), "forgotten"),
        **dict.fromkeys(digits.of_label(5), "rejected"),
        **dict.fromkeys(digits.of_label(8)[:2], "pending"),
        **{samples[0]: outcome for outcome, samples in given_up.items()},
    }
    assert client.get("/v1/audit/records").json()["records"][-1]["event"] == "exclusions.read"


def test_only_admins_may_read_it(pipeline: TestClient, client: TestClient) -> None:
    assert_problem(pipeline.get(PATH), 403, "not-permitted")
    assert_problem(client.get("/v1/models/nobody/exclusions"), 404, "unknown-model")
