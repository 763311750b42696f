"""POST /v1/deletion-requests: what is taken over, and what each sample ID is told."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits
from tests.integration.app.support import (
    REQUESTS,
    assert_problem,
    execute,
    pages,
    post,
    row_counts,
)


def test_an_accepted_request_answers_202_with_location_retry_after_and_counts(
    pipeline: TestClient,
) -> None:
    posted = post(pipeline, ["person-1", "person-2", "nobody"])

    assert posted.status_code == 202
    body = posted.json()
    assert posted.headers["Location"] == f"{REQUESTS}/{body['id']}"
    assert int(posted.headers["Retry-After"]) > 0
    assert body["status"] == "pending"
    assert body["counts"] == {"pending": 2, "unknown": 1}
    assert pipeline.get(posted.headers["Location"]).json()["id"] == body["id"]


def test_reference_and_deadline_are_kept_and_shown(pipeline: TestClient) -> None:
    posted = post(
        pipeline, ["person-1"], reference="Fall 4711 – Löschung", deadline="2030-01-02T03:04:05Z"
    )

    view = pipeline.get(posted.headers["Location"]).json()
    assert view["reference"] == "Fall 4711 – Löschung"
    assert view["deadline"] == "2030-01-02T03:04:05Z"


@pytest.mark.parametrize(
    "deadline",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"],
)
def test_a_deadline_that_is_accepted_can_be_read_back(client: TestClient, deadline: str) -> None:
    posted = post(client, ["person-1"], deadline=deadline)

    if posted.status_code == 202:
        assert client.get(posted.headers["Location"]).status_code == 200
    else:
        assert_problem(posted, 422, "invalid-request")


def test_one_bad_id_never_sinks_the_rest(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    old, new = digits.of_label(3)[0], digits.of_label(5)[0]

    posted = post(client, ["nobody", old, new, "../../etc/passwd", "'; DROP TABLE sample; --"])

    assert posted.status_code == 202
    assert posted.json()["counts"] == {"pending": 1, "already_forgotten": 1, "unknown": 3}
    items = client.get(posted.headers["Location"] + "/items").json()["items"]
    assert {item["sample_id"]: item["outcome"] for item in items} == {
        "nobody": "unknown",
        old: "already_forgotten",
        new: "pending",
        "../../etc/passwd": "unknown",
        "'; DROP TABLE sample; --": "unknown",
    }
    assert row_counts(enrolled)["sample"] == 600


def test_a_request_without_a_known_id_is_settled_at_once(client: TestClient) -> None:
    posted = post(client, ["nobody", "nobody-else"])

    assert posted.status_code == 202
    assert posted.json()["status"] == "settled"
    assert posted.json()["counts"] == {"unknown": 2}
    view = client.get(posted.headers["Location"]).json()
    assert view["status"] == "settled"
    assert view["settled_at"] is not None
    assert view["run"] is None


def test_an_id_that_is_repeated_counts_once(client: TestClient) -> None:
    posted = post(client, ["person-1", "person-2", "person-1", "person-1"])

    assert posted.json()["counts"] == {"pending": 2}
    assert posted.json()["duplicates"] == 2
    items = client.get(posted.headers["Location"] + "/items").json()["items"]
    assert [item["sample_id"] for item in items] == ["person-1", "person-2"]


def test_what_is_forgotten_is_already_forgotten_when_it_is_posted_again(
    client: TestClient, digits: Digits, forgotten: dict[str, Any]
) -> None:
    again = post(client, digits.of_label(3))

    assert again.status_code == 202
    assert again.json()["counts"] == {"already_forgotten": len(digits.of_label(3))}
    assert again.json()["status"] == "settled"
    items = client.get(again.headers["Location"] + "/items").json()["items"]
    assert {item["version"] for item in items} == {1}


def test_the_largest_request_is_accepted(client: TestClient) -> None:
    sample_ids = ["person-1", *(f"unknown-{number}" for number in range(99_999))]

    posted = post(client, sample_ids)

    assert posted.status_code == 202
    assert posted.json()["counts"] == {"pending": 1, "unknown": 99_999}
    last = list(pages(client, posted.headers["Location"] + "/items", outcome="pending"))
    assert [item["sample_id"] for item in last[-1]["items"]] == ["person-1"]


def test_a_sample_id_may_be_any_printable_text_of_up_to_255_characters(client: TestClient) -> None:
    odd = ["a b", " ", "ü/√", "a?b#c%20", "🙂", "\\", '"', "x" * 255, "\u202eright to left"]

    posted = post(client, odd)

    assert posted.status_code == 202
    items = client.get(posted.headers["Location"] + "/items").json()["items"]
    assert [item["sample_id"] for item in items] == odd


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_more_than_the_policy_allows_is_refused_whatever_was_accepted_before(
    client: TestClient, enrolled: Settings, digits: Digits, kind: str
) -> None:
    client.patch("/v1/models/digits/policy", json={"gate": {"max_forgotten_share": 0.1}})
    trained, others = (
        [name for name in digits.of_label(label) if int(name.split("-")[1]) % 10]
        for label in (3, 5)
    )
    unseen = [name for name in digits.of_label(3) if name not in trained]
    named = ", ".join(f"'{name}'" for name in others[:4])
    execute(enrolled, f"UPDATE sample SET forgotten_version = 0 WHERE sample_id IN ({named})")
    # What would happen does not count, and of 540 samples 54 may be forgotten.
    assert post(client, others[4:54], mode="dry_run").status_code == 202
    assert post(client, trained[:36]).status_code == 202
    # By now it is known that ten more fit.
    if kind == "application/json":
        more = post(client, trained[36:46])
    else:
        lines = "".join(f'"{name}"\n' for name in trained[36:46])
        more = client.post(
            f"{REQUESTS}?model=digits", content=lines, headers={"Content-Type": kind}
        )
    assert more.status_code == 202
    before = row_counts(enrolled)
    refused = assert_problem(post(client, trained[46:51]), 422, "forgets-too-much")
    assert "55 of 540 training samples" in refused["detail"]
    assert row_counts(enrolled) == before
    # What is asked for again is no more than before, nor is what was never learnt.
    assert post(client, [*trained[:46], *unseen]).status_code == 202
    assert post(client, trained[46:50]).status_code == 202
