"""ETag, 304 and `?wait=`: polling costs little and learns quickly."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import REQUESTS, assert_problem, enrolment, post
from workers import pipeline as steps
from workers.resources import Resources
from workers.transactions.claims import claim

LONG_S = 55
MOST_POLLS = 5000


def test_what_has_not_changed_is_not_sent_again(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    for path in (
        f"{REQUESTS}/{forgotten['id']}",
        forgotten["run"]["href"],
        "/v1/runs",
        "/v1/runs?model=digits&state=published",
        "/v1/models",
        "/v1/models/digits",
        "/v1/models/digits/checkpoints",
        "/v1/models/digits/checkpoints/1",
    ):
        first = client.get(path)
        etag = first.headers["ETag"]
        assert etag.startswith('"')
        for sent in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            again = client.get(path, headers={"If-None-Match": sent})
            assert (again.status_code, again.content) == (304, b""), path
            assert again.headers["ETag"] == etag
        assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content


def test_what_has_changed_has_another_etag(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    location = post(client, digits.of_label(3)).headers["Location"]
    paths = (location, "/v1/runs", "/v1/models/digits")
    before = [client.get(path).headers["ETag"] for path in paths]

    work(enrolled)

    for path, etag in zip(paths, before, strict=True):
        after = client.get(path, headers={"If-None-Match": etag})
        assert after.status_code == 200
        assert after.headers["ETag"] != etag


@pytest.mark.parametrize("conditional", [False, True])
def test_a_long_poll_returns_early_when_a_request_is_settled(
    client: TestClient, enrolled: Settings, digits: Digits, conditional: bool
) -> None:
    location = post(client, digits.of_label(3)).headers["Location"]
    headers = {"If-None-Match": client.get(location).headers["ETag"]} if conditional else {}
    begun = time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(client.get, location, params={"wait": LONG_S}, headers=headers)
        work(enrolled)
        answer = polled.result()

    assert time.monotonic() - begun < LONG_S
    assert answer.status_code == 200
    # With a condition any change is news, so the run may still be under way.
    assert answer.json()["status"] in ({"running", "settled"} if conditional else {"settled"})


def test_however_often_one_asks_a_request_is_settled_or_it_is_not(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    location = post(client, digits.of_label(3)).headers["Location"]

    def ask() -> list[dict[str, Any]]:
        seen = [client.get(location).json()]
        while seen[-1]["status"] != "settled" and len(seen) < MOST_POLLS:
            seen.append(client.get(location).json())
        return seen

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        work(enrolled)

    for answer in chain.from_iterable(each.result() for each in asking):
        settled = answer["status"] == "settled"
        assert ("pending" not in answer["counts"]) is settled, answer
        assert (answer["run"] is not None and answer["run"]["state"] == "published") is settled


def test_a_long_poll_on_a_run_returns_early_when_it_ends(
    client: TestClient, resources: Resources, digits: Digits
) -> None:
    post(client, digits.of_label(3))
    run = claim(uuid.UUID(client.get("/v1/models/digits").json()["id"]), resources)
    assert run is not None
    path = f"/v1/runs/{run.id}"
    assert client.get(path).json()["state"] == "running"
    begun = time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(client.get, path, params={"wait": LONG_S})
        steps.unlearn(run, resources)
        answer = polled.result()

    assert time.monotonic() - begun < LONG_S
    assert answer.json()["state"] == "published"


def test_a_long_poll_on_a_registered_model_returns_when_it_is_enrolled(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    assert client.post("/v1/models", json=enrolment(digits, "second")).status_code == 202
    begun = time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(client.get, "/v1/models/second", params={"wait": LONG_S})
        work(enrolled)
        answer = polled.result()

    assert time.monotonic() - begun < LONG_S
    assert answer.json()["state"] == "active"


def test_a_long_poll_ends_after_the_wait_when_nothing_changes(client: TestClient) -> None:
    location = post(client, ["person-1"]).headers["Location"]
    etag = client.get(location).headers["ETag"]

    unconditional, took = _timed(client, location, wait=0.6)
    assert unconditional.json()["status"] == "pending"
    assert 0.6 <= took < 5
    conditional, took = _timed(client, location, wait=0.6, etag=etag)
    assert conditional.status_code == 304
    assert 0.6 <= took < 5


def test_a_long_poll_on_what_has_ended_returns_at_once(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    for path in (f"{REQUESTS}/{forgotten['id']}", forgotten["run"]["href"], "/v1/models/digits"):
        answer, took = _timed(client, path, wait=LONG_S)
        assert answer.status_code == 200
        assert took < LONG_S


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "inf", "3601"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(reader: TestClient, wait: str) -> None:
    # The registered model has been enrolled, so no wait, however odd, could be waited for.
    answer = reader.get("/v1/models/digits", params={"wait": wait})
    assert_problem(answer, 422, "invalid-request")


def _timed(
    client: TestClient, path: str, *, wait: float, etag: str | None = None
) -> tuple[Response, float]:
    begun = time.monotonic()
    headers = {"If-None-Match": etag} if etag else {}
    answer = client.get(path, params={"wait": wait}, headers=headers)
    return answer, time.monotonic() - begun
