"""Idempotency-Key: a repeated request is one request."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.intake.accepting import Intake
from app.intake.posted import read_posted
from models.database import Database
from models.settings import Settings
from tests.conftest import Digits, client_for, work
from tests.integration.app.support import REQUESTS, assert_problem, post, row_counts
from tests.integration.workers.conftest import PIPELINE


def test_the_same_key_with_the_same_body_gets_the_first_answer(
    client: TestClient, enrolled: Settings
) -> None:
    first = post(client, ["person-1", "nobody", "person-1"], key="order-1", reference="a")
    before = row_counts(enrolled)

    second = post(client, ["person-1", "nobody", "person-1"], key="order-1", reference="a")

    assert second.status_code == 202
    assert second.content == first.content
    assert second.headers["Location"] == first.headers["Location"]
    assert row_counts(enrolled) == before


def test_the_first_answer_is_repeated_even_after_the_work_is_done(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    sample_ids = [*digits.of_label(3), "nobody"]
    first = post(client, sample_ids, key="order-1")
    work(enrolled)
    assert client.get(first.headers["Location"]).json()["status"] == "settled"
    before = row_counts(enrolled)

    second = post(client, sample_ids, key="order-1")

    assert second.status_code == 202
    assert second.content == first.content
    assert row_counts(enrolled) == before


def test_the_order_of_the_members_and_white_space_do_not_make_another_body(
    client: TestClient,
) -> None:
    headers = {"Idempotency-Key": "order-1", "Content-Type": "application/json"}
    first = client.post(
        REQUESTS, content='{"model":"digits","sample_ids":["person-1"]}', headers=headers
    )
    second = client.post(
        REQUESTS, content='{ "sample_ids": ["person-1"],\n "model": "digits" }', headers=headers
    )

    assert first.status_code == second.status_code == 202
    assert second.content == first.content


@pytest.mark.parametrize(
    "change", [{"sample_ids": ["person-2"]}, {"reference": "b"}, {"deadline": "2031-01-01T00:00Z"}]
)
def test_the_same_key_with_another_body_is_refused_and_changes_nothing(
    client: TestClient, enrolled: Settings, change: dict[str, object]
) -> None:
    body = {"model": "digits", "sample_ids": ["person-1"], "reference": "a"}
    headers = {"Idempotency-Key": "order-1"}
    assert client.post(REQUESTS, json=body, headers=headers).status_code == 202
    before = row_counts(enrolled)

    refused = client.post(REQUESTS, json={**body, **change}, headers=headers)

    assert_problem(refused, 422, "idempotency-key-reused")
    assert row_counts(enrolled) == before


def test_a_key_belongs_to_its_principal(pipeline: TestClient, other: TestClient) -> None:
    mine = post(pipeline, ["person-1"], key="order-1")
    theirs = post(other, ["person-2"], key="order-1")

    assert mine.status_code == theirs.status_code == 202
    assert mine.json()["id"] != theirs.json()["id"]
    # Each gets the first answer to its own.
    assert post(pipeline, ["person-1"], key="order-1").content == mine.content
    assert post(other, ["person-2"], key="order-1").content == theirs.content


def test_a_refused_request_does_not_use_up_its_key(client: TestClient) -> None:
    body = {"model": "nowhere", "sample_ids": ["person-1"]}
    refused = client.post(REQUESTS, json=body, headers={"Idempotency-Key": "order-1"})
    assert_problem(refused, 404, "unknown-model")

    assert post(client, ["person-1"], key="order-1").status_code == 202


def test_without_a_key_the_same_body_twice_is_two_requests(client: TestClient) -> None:
    assert post(client, ["person-1"]).json()["id"] != post(client, ["person-1"]).json()["id"]


def test_a_commit_whose_answer_was_lost_is_recognised_without_a_key(enrolled: Settings) -> None:
    body = {"model": "digits", "sample_ids": ["person-1"]}
    database = Database(enrolled.database_url)
    intake = Intake(database)
    first, another = (read_posted(json.dumps(body).encode(), None, PIPELINE, 10) for _ in range(2))
    intake.alone(another)
    answer = intake.alone(first)
    # What is done when nobody knows whether it was committed.
    again = intake.alone(first)
    assert again == answer
    assert answer.answer.id != another.id
    assert row_counts(enrolled)["deletion_request"] == 2
    database.close()


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_that_is_empty_or_too_long_is_refused(
    reader: TestClient, unchanged: Settings, key: str
) -> None:
    before = row_counts(unchanged)
    assert_problem(post(reader, ["person-1"], key=key), 422, "invalid-request")
    assert row_counts(unchanged) == before


def test_posts_at_the_same_time_with_the_same_key_make_one_request(enrolled: Settings) -> None:
    sample_ids = [f"person-{number}" for number in range(300)]
    answers = _at_the_same_time(enrolled, [sample_ids] * 6)

    assert [answer.status_code for answer in answers] == [202] * 6
    assert len({answer.content for answer in answers}) == 1
    counts = row_counts(enrolled)
    assert counts["deletion_request"] == 1
    assert counts["deletion_item"] == 300


def test_posts_at_the_same_time_with_the_same_key_and_other_bodies_make_one_request(
    enrolled: Settings,
) -> None:
    answers = _at_the_same_time(enrolled, [[f"person-{number}"] for number in range(4)])

    assert sorted(answer.status_code for answer in answers) == [202, 422, 422, 422]
    for answer in answers:
        if answer.status_code == 422:
            assert_problem(answer, 422, "idempotency-key-reused")
    assert row_counts(enrolled)["deletion_request"] == 1


def _at_the_same_time(settings: Settings, bodies: list[list[str]]) -> list[Response]:
    barrier = Barrier(len(bodies))

    def send(sample_ids: list[str]) -> Response:
        barrier.wait()
        return post(client, sample_ids, key="order-1")

    with client_for(settings) as client, ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(send, bodies))
