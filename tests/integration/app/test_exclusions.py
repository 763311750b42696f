"""GET /v1/models/{model}/exclusions: what to retrain without."""

import json

import httpx2
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import ADMIN_KEY, Digits, work
from tests.integration.app.support import assert_problem, execute, forget, post, served

PATH = "/v1/models/digits/exclusions"
# More than the buffers of a connection take.
MANY = 100_000


def excluded(client: TestClient) -> dict[str, str]:
    """Sample IDs and their states."""
    answer = client.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert last == {"excluded": len(lines)}
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


def test_what_had_failed_of_a_request_that_is_withdrawn_later_is_not_excluded(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    samples = digits.of_label(9)[:2]
    location = post(client, samples).headers["Location"]
    execute(
        enrolled,
        f"UPDATE deletion_item SET outcome = 'failed' WHERE sample_id = '{samples[0]}'",
    )
    assert excluded(client) == {samples[0]: "failed", samples[1]: "pending"}
    assert client.delete(location).json()["status"] == "cancelled"
    assert excluded(client) == {}


def test_a_list_that_is_read_slowly_holds_no_connection_and_is_of_one_moment(
    enrolled: Settings,
) -> None:
    execute(
        enrolled,
        f"""
        INSERT INTO sample (
            model_id, sample_id, position, label, split, probe_rank, forgotten_version
        )
        SELECT id, repeat('x', 200) || number, 1000 + number, 1, 'train', number, 1
        FROM registered_model, generate_series(1, {MANY}) number
        """,
    )
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with (
        served(enrolled) as address,
        httpx2.stream("GET", address + PATH, headers=headers, timeout=60) as answer,
    ):
        execute(
            enrolled,
            "UPDATE sample SET weakened = true",
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """,
        )
        *lines, last = [json.loads(line) for line in answer.iter_lines()]

    assert last == {"excluded": MANY}
    assert len({line["sample_id"] for line in lines}) == MANY
    assert {line["state"] for line in lines} == {"forgotten"}


def test_a_list_says_how_long_it_is(client: TestClient, digits: Digits) -> None:
    post(client, digits.of_label(3))
    answer = client.get(PATH)
    assert int(answer.headers["Content-Length"]) == len(answer.content) > 0


def test_only_admins_may_read_it(pipeline: TestClient, client: TestClient) -> None:
    assert_problem(pipeline.get(PATH), 403, "not-permitted")
    assert_problem(client.get("/v1/models/nobody/exclusions"), 404, "unknown-model")
