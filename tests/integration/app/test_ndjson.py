"""POST /v1/deletion-requests as NDJSON: very many sample IDs, all of them or none."""

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.intake.ndjson import MAX_LINE
from models.settings import Settings
from tests.conftest import Digits, client_for, work
from tests.integration.app.support import REQUESTS, assert_problem, pages, post, row_counts

TYPE = {"Content-Type": "application/x-ndjson"}
GZIP = {"Content-Encoding": "gzip"}


def lines(*sample_ids: str) -> bytes:
    return "".join(json.dumps(name) + "\n" for name in sample_ids).encode()


def post_lines(
    client: TestClient, content: Any, headers: dict[str, str] | None = None, **query: str
) -> Response:
    return client.post(
        REQUESTS,
        params={"model": "digits", **query},
        content=content,
        headers={**TYPE, **(headers or {})},
    )


def test_strings_and_objects_are_taken_in_any_mixture(client: TestClient) -> None:
    body = (
        b'"person-1"\n{"sample_id": "nobody"}\r\n"person-1"\n {"sample_id":"person-2"} \n'
        b'"a\\u00fc"\n{"sample_id": "\\"a\\":\\"b\\""}'
    )

    posted = post_lines(client, body)

    assert posted.status_code == 202, posted.text
    answer = posted.json()
    assert answer["counts"] == {"pending": 2, "unknown": 3}
    assert answer["duplicates"] == 1
    assert answer["status"] == "pending"
    items = client.get(posted.headers["Location"] + "/items").json()["items"]
    assert [item["sample_id"] for item in items] == [
        *("person-1", "nobody", "person-2", "aü", '"a":"b"')
    ]


def test_what_json_holds_in_its_body_is_given_by_the_query(client: TestClient) -> None:
    posted = post_lines(
        client,
        lines("person-1"),
        mode="dry_run",
        reference="ticket 7",
        deadline="2030-01-02T03:04:05+01:00",
    )

    view = client.get(posted.headers["Location"]).json()
    assert (view["mode"], view["reference"]) == ("dry_run", "ticket 7")
    assert view["deadline"] == "2030-01-02T02:04:05Z"
    (record,) = client.get("/v1/audit/records?event=request.accepted").json()["records"]
    assert (record["actor"], record["request"]) == ("admin", view["id"])
    assert record["details"] == {"items": 1, "counts": {"pending": 1}}


def test_it_is_carried_out_like_any_other_request(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    posted = post_lines(client, lines(*digits.of_label(3)))
    work(enrolled)

    view = client.get(posted.headers["Location"]).json()
    assert view["status"] == "settled"
    assert view["counts"] == {"forgotten": len(digits.of_label(3))}
    again = post_lines(client, lines(*digits.of_label(3)))
    assert again.json()["counts"] == {"already_forgotten": len(digits.of_label(3))}
    assert again.json()["status"] == "settled"


def test_more_ids_than_json_takes_come_in_the_order_in_which_they_were_posted(
    client: TestClient,
) -> None:
    names = [f"who\\ever-{number}" for number in range(120_000)]

    posted = post_lines(client, lines(*names, *names[:10]))

    assert posted.json()["counts"] == {"unknown": 120_000}
    assert posted.json()["duplicates"] == 10
    found = pages(client, posted.headers["Location"] + "/items", limit=1000)
    assert [item["sample_id"] for page in found for item in page["items"]] == names


@pytest.mark.parametrize("members", [1, 3])
def test_gzip_is_taken(client: TestClient, members: int) -> None:
    body = b"".join(gzip.compress(lines(f"person-{n}", "nobody")) for n in range(1, members + 1))

    posted = post_lines(client, body, GZIP)

    assert posted.status_code == 202, posted.text
    assert posted.json()["counts"] == {"pending": members, "unknown": 1}


def test_a_short_list_may_pack_very_well(client: TestClient) -> None:
    packed = gzip.compress(lines("nobody") * 50_000)
    assert 50_000 * len(lines("nobody")) > 100 * len(packed)
    posted = post_lines(client, packed, GZIP)
    assert posted.status_code == 202, posted.text
    assert posted.json()["duplicates"] == 49_999


def test_the_same_key_with_the_same_lines_gets_the_first_answer(
    client: TestClient, enrolled: Settings
) -> None:
    key = {"Idempotency-Key": "bulk-1"}
    first = post_lines(client, lines("person-1", "nobody"), key)
    before = row_counts(enrolled)

    again = post_lines(client, lines("person-1", "nobody"), key)
    packed = post_lines(client, gzip.compress(lines("person-1", "nobody")), {**key, **GZIP})

    assert first.status_code == 202
    assert again.content == packed.content == first.content
    assert row_counts(enrolled) == before


def test_the_same_key_with_other_lines_or_another_form_is_refused(
    client: TestClient, enrolled: Settings
) -> None:
    key = {"Idempotency-Key": "bulk-1"}
    assert post_lines(client, lines("person-1"), key).status_code == 202
    before = row_counts(enrolled)

    for answer in (
        post_lines(client, lines("person-2"), key),
        post_lines(client, lines("person-1", "person-1"), key),
        post_lines(client, lines("person-1"), key, mode="dry_run"),
        post_lines(client, lines("person-1"), key, reference="another"),
        post_lines(client, lines("person-1"), key, deadline="2030-01-02T03:04:05+01:00"),
        post(client, ["person-1"], key="bulk-1"),
    ):
        assert_problem(answer, 422, "idempotency-key-reused")
    assert row_counts(enrolled) == before


def test_posts_at_the_same_time_with_the_same_key_make_one_request(enrolled: Settings) -> None:
    # One client gets three quarters of the places at most.
    enough = enrolled.model_copy(update={"max_large_bodies": 8})
    barrier = Barrier(4)
    body = lines(*(f"person-{number}" for number in range(250)))

    def send(_: int) -> Response:
        barrier.wait()
        return post_lines(client, body, {"Idempotency-Key": "bulk-1"})

    with client_for(enough) as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))

    assert [answer.status_code for answer in answers] == [202] * 4
    assert len({answer.content for answer in answers}) == 1
    assert row_counts(enrolled)["deletion_request"] == 1


def test_more_than_the_policy_allows_is_refused_and_changes_nothing(
    client: TestClient, enrolled: Settings
) -> None:
    before = row_counts(enrolled)
    refused = post_lines(client, lines(*(f"person-{number}" for number in range(600))))
    assert_problem(refused, 422, "nothing-retained")
    assert row_counts(enrolled) == before


@pytest.mark.usefixtures("nothing_changes")
class TestRefused:
    """Bad bodies: a clear problem each, and nothing changed."""

    @pytest.mark.parametrize(
        "bad",
        [
            b"",
            b" ",
            b"person-1",
            b"'person-1'",
            b"17",
            b"null",
            b"[]",
            b'["secret-1"]',
            b'""',
            b'"secret-1',
            b'"secret-1" "secret-2"',
            b'"secret-1","secret-2"',
            b'{"sample_id": 5}',
            b'{"sample_id": "secret-1", "label": 3}',
            b'{"id": "secret-1"}',
            b'{"sample_id": "secret-1", "sample_id": "secret-2"}',
            b'{"sample_id": "secret-1", "sample_\\u0069d": "secret-2"}',
            b"{}",
            b'"secret\\u0000"',
            b'"secret\\ud800"',
            b'"secret\x07"',
            b'"\xff\xfe"',
            b'"\xc2\x85"',
            b'"' + b"x" * 256 + b'"',
            b'"' + b"x" * 100_000 + b'"',
            b'"' + b" " * (MAX_LINE - 1),
        ],
    )
    def test_one_bad_line_in_the_middle_is_named_by_its_number_and_not_quoted(
        self, reader: TestClient, bad: bytes
    ) -> None:
        good = lines(*(f"person-{number}" for number in range(100)))

        problem = assert_problem(
            post_lines(reader, good + bad + b"\n" + good), 422, "malformed-line"
        )

        assert problem["detail"].startswith("Line 101 ")
        assert "secret" not in str(problem)

    def test_the_last_line_is_looked_at_though_it_does_not_end(self, reader: TestClient) -> None:
        problem = assert_problem(post_lines(reader, b'"person-1"\n"per'), 422, "malformed-line")
        assert "Line 2 " in problem["detail"]

    def test_a_body_without_lines_is_refused(self, reader: TestClient) -> None:
        assert_problem(post_lines(reader, b""), 422, "malformed-line")
        assert_problem(post_lines(reader, gzip.compress(b""), GZIP), 422, "malformed-line")

    def test_a_model_is_needed_and_must_be_there(self, reader: TestClient) -> None:
        missing = reader.post(REQUESTS, content=lines("person-1"), headers=TYPE)
        assert "model" in assert_problem(missing, 422, "invalid-request")["detail"]
        assert_problem(post_lines(reader, lines("a"), model="nowhere"), 404, "unknown-model")

    @pytest.mark.parametrize(
        "query",
        [
            {"model": "Not A Name"},
            {"mode": "perhaps"},
            {"reference": "a\nb"},
            {"deadline": "soon"},
            {"deadline": "2030-01-01T00:00:00"},
        ],
    )
    def test_a_wrong_query_is_refused(self, reader: TestClient, query: dict[str, str]) -> None:
        answer = post_lines(reader, lines("person-1"), **query)
        assert_problem(answer, 422, "invalid-request")

    def test_a_query_beside_json_is_refused_rather_than_ignored(self, reader: TestClient) -> None:
        body = {"model": "digits", "sample_ids": ["person-1"]}
        refused = reader.post(REQUESTS, params={"mode": "dry_run"}, json=body)
        assert "mode" in assert_problem(refused, 422, "invalid-request")["detail"]

    def test_a_gzip_bomb_is_refused_by_its_ratio_or_its_size(self, unchanged: Settings) -> None:
        bomb = gzip.compress(lines("person-1") * 1_000_000)
        with client_for(unchanged) as reader:
            problem = assert_problem(post_lines(reader, bomb, GZIP), 413, "expands-too-much")
            assert "100 times" in problem["detail"]
        small = unchanged.model_copy(update={"max_bulk_bytes": 100_000})
        with client_for(small) as reader:
            problem = assert_problem(post_lines(reader, bomb, GZIP), 413, "expands-too-much")
            assert "100000" in problem["detail"]

    @pytest.mark.parametrize("cut", [1, 9, 11, 40, -1, -8])
    def test_gzip_that_is_cut_off_is_refused(self, reader: TestClient, cut: int) -> None:
        body = gzip.compress(lines(*(f"person-{number}" for number in range(50))))
        answer = post_lines(reader, body[:cut], GZIP)
        assert_problem(answer, 422, "malformed-encoding")

    def test_what_is_not_gzip_or_followed_by_something_else_is_refused(
        self, reader: TestClient
    ) -> None:
        for body in (lines("person-1"), gzip.compress(lines("person-1")) + b"more"):
            assert_problem(post_lines(reader, body, GZIP), 422, "malformed-encoding")

    def test_other_encodings_are_refused(self, reader: TestClient) -> None:
        answer = post_lines(reader, lines("person-1"), {"Content-Encoding": "br"})
        assert_problem(answer, 415, "unsupported-encoding")
        body = gzip.compress(b'{"model": "digits", "sample_ids": ["person-1"]}')
        packed = {"Content-Type": "application/json", **GZIP}
        answer = reader.post(REQUESTS, content=body, headers=packed)
        assert_problem(answer, 415, "unsupported-encoding")

    def test_more_ids_than_the_limit_are_refused(self, unchanged: Settings) -> None:
        small = unchanged.model_copy(update={"max_bulk_ids": 100})
        with client_for(small) as reader:
            refused = post_lines(reader, lines(*(f"person-{number}" for number in range(101))))
            assert "100" in assert_problem(refused, 422, "too-many-samples")["detail"]

    def test_its_limit_is_its_own_and_not_that_of_other_bodies(self, unchanged: Settings) -> None:
        def chunks() -> Iterator[bytes]:
            for _ in range(100):
                yield lines("person-1", "person-2")

        limits = {"max_body_bytes": 1024, "max_bulk_bytes": 2000, "max_bulk_ids": 100}
        with client_for(unchanged.model_copy(update=limits)) as reader:
            refused = post_lines(reader, lines(*["person-1"] * 120))
            assert_problem(refused, 422, "too-many-samples")
            for body in (b"".join(chunks()), chunks()):
                refused = post_lines(reader, body)
                assert "2000" in assert_problem(refused, 413, "body-too-large")["detail"]
