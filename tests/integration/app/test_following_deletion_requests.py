"""GET /v1/deletion-requests/{id}, its items, and withdrawing it."""

import uuid
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from models.doorbell import Job
from models.settings import Settings
from tests.conftest import PIPELINE_KEY, Digits, client_for, work
from tests.integration.app.support import (
    REQUESTS,
    assert_problem,
    assert_some_problem,
    execute,
    pages,
    post,
    row_counts,
)
from tests.integration.workers.conftest import Story
from tests.integration.workers.test_pipeline import training_ids
from tests.integration.workers.transactions.test_claims import FAILURE, expire
from workers import pipeline as steps
from workers.resources import Resources
from workers.transactions.breakdowns import give_up, lay_down
from workers.transactions.claims import claim
from workers.transactions.releases import Cause


def test_who_follows_a_request_does_not_have_the_verdict_of_its_run_read(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        found = client.get(f"{REQUESTS}/{forgotten['id']}")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert found.json()["run"]["state"] == "published"
    assert any("FROM unlearning_run" in statement for statement in said)
    assert not any("unlearning_run.verdict" in statement for statement in said)


def test_a_settled_request_names_its_run_and_its_checkpoint(
    client: TestClient, digits: Digits, forgotten: dict[str, Any]
) -> None:
    assert forgotten["counts"] == {"forgotten": len(digits.of_label(3))}
    assert forgotten["settled_at"] is not None
    assert forgotten["checkpoint"]["version"] == 1
    assert client.get(forgotten["checkpoint"]["href"]).json()["version"] == 1
    assert client.get(forgotten["run"]["href"]).json()["state"] == "published"


def test_items_are_walked_page_by_page_in_the_order_of_posting(client: TestClient) -> None:
    sample_ids = [f"person-{number}" for number in range(24, -1, -1)]
    location = post(client, sample_ids).headers["Location"]

    walked = list(pages(client, f"{location}/items", limit=10))

    assert [len(page["items"]) for page in walked] == [10, 10, 5]
    assert [item["sample_id"] for page in walked for item in page["items"]] == sample_ids


def test_a_last_page_that_is_full_has_no_next(client: TestClient) -> None:
    location = post(client, [f"person-{number}" for number in range(20)]).headers["Location"]

    assert [len(page["items"]) for page in pages(client, f"{location}/items", limit=10)] == [10, 10]


def test_items_are_filtered_by_outcome_across_pages(client: TestClient) -> None:
    sample_ids = [f"{'person' if number % 3 else 'nobody'}-{number}" for number in range(30)]
    location = post(client, sample_ids).headers["Location"]

    walked = list(pages(client, f"{location}/items", limit=4, outcome="unknown"))

    found = [item["sample_id"] for page in walked for item in page["items"]]
    assert found == [name for name in sample_ids if name.startswith("nobody")]


def test_a_cursor_that_was_not_issued_is_refused(client: TestClient) -> None:
    location = post(client, ["person-1"]).headers["Location"]
    for cursor in ["x", "bm9uc2Vuc2U", "WyJhIl0", "W3RydWVd", "W10", "é", "%00"]:
        answer = client.get(f"{location}/items", params={"cursor": cursor})
        assert_problem(answer, 400, "invalid-cursor")


def test_a_query_out_of_range_is_refused(client: TestClient) -> None:
    location = post(client, ["person-1"]).headers["Location"]
    for query in ["limit=0", "limit=1001", "limit=ten", "outcome=lost"]:
        assert_problem(client.get(f"{location}/items?{query}"), 422, "invalid-request")


def test_a_pending_request_can_be_withdrawn_and_nothing_is_forgotten(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    posted = post(client, [*digits.of_label(3), "nobody"])

    withdrawn = client.delete(posted.headers["Location"])
    work(enrolled)

    assert withdrawn.status_code == 200
    view = client.get(posted.headers["Location"]).json()
    assert view["status"] == "cancelled"
    assert view["counts"] == {"cancelled": len(digits.of_label(3)), "unknown": 1}
    assert view["settled_at"] is not None
    items = client.get(f"{posted.headers['Location']}/items").json()["items"]
    assert all(item["settled_at"] for item in items)
    assert client.get("/v1/models/digits").json()["head_version"] == 0
    assert client.get("/v1/runs").json()["runs"] == []
    assert_problem(client.delete(posted.headers["Location"]), 409, "request-not-pending")


def test_withdrawing_one_request_leaves_the_others_that_name_its_samples(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    first = post(client, digits.of_label(3))
    second = post(client, digits.of_label(3))
    client.delete(first.headers["Location"])

    work(enrolled)

    assert client.get(second.headers["Location"]).json()["status"] == "settled"
    sample = client.get(f"/v1/models/digits/samples/{digits.of_label(3)[0]}").json()
    assert sample["state"] == "forgotten"


def test_a_settled_request_cannot_be_withdrawn(
    client: TestClient, enrolled: Settings, forgotten: dict[str, Any]
) -> None:
    before = row_counts(enrolled)
    refused = client.delete(f"{REQUESTS}/{forgotten['id']}")

    assert_problem(refused, 409, "request-not-pending")
    assert client.get(f"{REQUESTS}/{forgotten['id']}").json() == forgotten
    assert row_counts(enrolled) == before


def test_a_request_that_a_run_is_working_on_is_withdrawn_by_that_run(
    client: TestClient, resources: Resources, digits: Digits
) -> None:
    with client_for(resources.settings, PIPELINE_KEY) as pipeline:
        posted = post(pipeline, digits.of_label(3))
    also = post(client, digits.of_label(5))
    run = claim(uuid.UUID(client.get("/v1/models/digits").json()["id"]), resources)
    assert run is not None

    withdrawn = client.delete(posted.headers["Location"])
    assert withdrawn.status_code == 202
    assert withdrawn.json()["status"] == "running"
    assert withdrawn.json()["cancel_requested_at"]
    steps.unlearn(run, resources)

    assert client.get(posted.headers["Location"]).json()["status"] == "cancelled"
    assert client.get(f"/v1/runs/{run.id}").json()["state"] == "cancelled"
    assert client.get("/v1/models/digits").json()["head_version"] == 0
    # It was an admin who did that, and not whoever had posted it.
    (record,) = client.get("/v1/audit/records?event=request.cancelled").json()["records"]
    assert record["actor"] == "admin"
    # The other request was not withdrawn; it has lost nothing but a little time.
    work(resources.settings)
    assert client.get(also.headers["Location"]).json()["status"] == "settled"
    assert client.get("/v1/models/digits").json()["head_version"] == 1


@pytest.mark.parametrize("ending", ["lost", "failed", "hopeless", "laid down"])
def test_a_withdrawal_that_was_promised_holds_however_the_run_ends(
    client: TestClient, resources: Resources, digits: Digits, ending: str
) -> None:
    posted = post(client, digits.of_label(3))
    also = post(client, digits.of_label(5))
    model_id = uuid.UUID(client.get("/v1/models/digits").json()["id"])
    run = claim(model_id, resources)
    assert run is not None
    assert client.delete(posted.headers["Location"]).status_code == 202

    if ending == "lost":
        expire(Story(resources))
    elif ending == "laid down":
        lay_down(run, resources, FAILURE, {})
    else:
        give_up(run, resources, FAILURE, {}, Cause.ITS_SAMPLES if ending == "failed" else None)
    resources.doorbell.ring(Job.UNLEARN, model_id)
    work(resources.settings)

    assert client.get(posted.headers["Location"]).json()["counts"] == {
        "cancelled": len(digits.of_label(3))
    }
    assert client.get(posted.headers["Location"]).json()["status"] == "cancelled"
    others = set(client.get(also.headers["Location"]).json()["counts"])
    assert others
    assert others <= ({"failed"} if ending == "hopeless" else {"forgotten", "weakened"})


def test_a_request_whose_run_was_quicker_is_not_withdrawn(
    client: TestClient, resources: Resources, digits: Digits
) -> None:
    posted = post(client, digits.of_label(3))
    run = claim(uuid.UUID(client.get("/v1/models/digits").json()["id"]), resources)
    assert run is not None
    steps.unlearn(run, resources)
    assert_problem(client.delete(posted.headers["Location"]), 409, "request-not-pending")


def test_somebody_elses_request_is_not_there(pipeline: TestClient, other: TestClient) -> None:
    location = post(pipeline, ["person-1"]).headers["Location"]

    for answer in (other.get(location), other.get(f"{location}/items"), other.delete(location)):
        assert_problem(answer, 404, "unknown-request")
    assert pipeline.get(location).json()["status"] == "pending"


def test_an_admin_sees_everybodys_requests(client: TestClient, pipeline: TestClient) -> None:
    location = post(pipeline, ["person-1"]).headers["Location"]
    assert client.get(location).status_code == 200


def test_an_id_that_nobody_was_given_is_not_there(reader: TestClient) -> None:
    path = f"{REQUESTS}/{uuid.uuid4()}"
    for answer in (reader.get(path), reader.get(f"{path}/items"), reader.delete(path)):
        assert_problem(answer, 404, "unknown-request")
    assert_some_problem(reader.get(f"{REQUESTS}/not-an-id"))


def test_what_was_weakened_before_it_was_asked_for_does_not_keep_a_request_from_being_withdrawn(
    client: TestClient, enrolled: Settings
) -> None:
    execute(
        enrolled,
        "UPDATE sample SET forgotten_version = 0, forgotten_at = now(), weakened = true "
        "WHERE sample_id = 'person-1'",
    )
    posted = post(client, ["person-1", "person-3"])
    assert posted.json()["counts"] == {"weakened": 1, "pending": 1}
    withdrawn = client.delete(posted.headers["Location"])
    assert withdrawn.status_code == 200
    assert withdrawn.json()["counts"] == {"weakened": 1, "cancelled": 1}


def test_a_request_of_which_something_waits_for_a_person_says_so_whatever_ran_since(
    resources: Resources, digits: Digits
) -> None:
    story = Story(resources)
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    settings = story.resources.settings.model_copy(update={"max_items_per_run": 60})
    trained = training_ids(digits, 3)
    unseen = [name for name in digits.of_label(5) if name not in training_ids(digits, 5)]
    request_id = story.post([*trained, *unseen])
    work(settings)
    with client_for(settings) as client:
        found = client.get(f"{REQUESTS}/{request_id}").json()
    assert found["counts"]["pending"] == len(trained)
    assert (found["status"], found["run"]["state"]) == ("needs_review", "needs_review")
