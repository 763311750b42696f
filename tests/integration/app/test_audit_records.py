"""GET /v1/audit/records: what happened, in order."""

import json
import random
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url, text
from sqlalchemy.orm import Session

from app import cursors
from models.audit.append import append
from models.audit.events import Event
from models.database import Database
from models.settings import Settings
from tests.conftest import Digits, Servers, client_for, work
from tests.integration.app.support import assert_problem, enrolment, execute, post
from workers import pipeline as steps
from workers.resources import Resources
from workers.transactions.claims import claim

RECORDS = "/v1/audit/records"
BACKUP = Path(__file__).parents[3] / "docs" / "backup.md"


class Follower:
    """Somebody who reads the audit log, page by page, and keeps the cursor."""

    def __init__(self, client: TestClient, **query: Any) -> None:
        self._client = client
        self._query = query

    @property
    def cursor(self) -> str:
        """Where the next page begins."""
        return str(self._query["cursor"])

    def page(self) -> list[dict[str, Any]]:
        """The records of the next page."""
        answer = self._client.get(RECORDS, params=self._query)
        assert answer.status_code == 200, answer.text
        self._query["cursor"] = answer.json()["next"]
        records: list[dict[str, Any]] = answer.json()["records"]
        return records

    def news(self) -> list[dict[str, Any]]:
        """All there is for now."""
        found = []
        while records := self.page():
            found += records
        return found

    def events(self) -> list[str]:
        """The names of all there is for now."""
        return [record["event"] for record in self.news()]


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    return Follower(client, **query).news()


def write(session: Session, event: Event, actor: str = "somebody") -> None:
    """A record, which has its number then."""
    append(session, event, actor=actor)
    session.flush()


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


def test_a_follower_goes_on_from_where_there_was_nothing_more(client: TestClient) -> None:
    follower = Follower(client)
    assert follower.events() == ["enrolment.requested", "model.enrolled"]
    assert follower.events() == []
    location = post(client, ["person-1"]).headers["Location"]
    client.delete(location)
    assert follower.events() == ["request.accepted", "request.cancelled"]
    assert follower.events() == []


def test_a_follower_of_some_events_is_brought_past_the_others(client: TestClient) -> None:
    follower = Follower(client, event="request.cancelled")
    assert follower.events() == []
    location = post(client, ["person-1"]).headers["Location"]
    client.delete(location)
    assert follower.events() == ["request.cancelled"]
    assert follower.events() == []


@pytest.mark.parametrize("committed", [True, False])
def test_a_page_ends_before_a_record_that_is_not_committed(
    client: TestClient, resources: Resources, committed: bool
) -> None:
    follower = Follower(client)
    follower.news()
    with resources.database.transaction() as slow:
        write(slow, Event.RUN_STARTED)
        post(client, ["person-1"])
        assert follower.events() == []
        write(slow, Event.RUN_FAILED)
        if not committed:
            slow.rollback()
    expected = ["run.started", "request.accepted", "run.failed"]
    # What was rolled back never was, and holds the others back no longer.
    assert follower.events() == (expected if committed else ["request.accepted"])


def test_a_transaction_that_writes_no_record_holds_none_back(
    client: TestClient, resources: Resources
) -> None:
    follower = Follower(client)
    follower.news()
    with resources.database.transaction() as busy:
        busy.execute(text("CREATE TABLE something (number int)"))
        post(client, ["person-1"])
        assert follower.events() == ["request.accepted"]
        write(busy, Event.RUN_FAILED)
    assert follower.events() == ["run.failed"]


@contextmanager
def held_up(settings: Settings, database: Database) -> Iterator[None]:
    """Publications stop where they give their lease back, which is after their record."""
    execute(
        settings,
        """
        CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(1);
            RETURN NEW;
        END $$
        """,
        """
        CREATE TRIGGER hold_up BEFORE UPDATE ON lease
        FOR EACH ROW WHEN (NEW.holder IS NULL) EXECUTE FUNCTION hold_up()
        """,
    )
    with database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(1)"))
        yield


def wait_until_held_up(database: Database) -> None:
    """Wait until somebody waits for a lock."""
    deadline = time.monotonic() + 60
    with database.engine.connect() as connection:
        while not connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            assert time.monotonic() < deadline


def test_a_follower_sees_every_record_once_while_a_publication_is_under_way(
    client: TestClient, resources: Resources, digits: Digits
) -> None:
    follower = Follower(client)
    post(client, digits.of_label(3))
    run = claim(uuid.UUID(client.get("/v1/models/digits").json()["id"]), resources)
    assert run is not None
    seen = follower.events()
    with ThreadPoolExecutor(1) as pool:
        with held_up(resources.settings, resources.database):
            publication = pool.submit(steps.unlearn, run, resources)
            wait_until_held_up(resources.database)
            post(client, ["person-1"])
            seen += follower.events()
        publication.result()
    seen += follower.events()

    assert seen == [
        *("enrolment.requested", "model.enrolled", "request.accepted", "run.started"),
        *("checkpoint.published", "request.accepted"),
    ]


def test_a_follower_misses_nothing_of_many_who_write_at_once(
    client: TestClient, resources: Resources
) -> None:
    def keep_writing(name: str) -> None:
        chosen = random.Random(name)
        for _ in range(40):
            with resources.database.transaction() as session:
                for _ in range(chosen.randrange(1, 4)):
                    write(session, Event.POLICY_CHANGED, name)
                if chosen.random() < 0.2:
                    session.rollback()

    follower, seen = Follower(client, event="policy.changed", limit=1000), []
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(keep_writing, f"writer-{number}") for number in range(6)]
        while not all(writer.done() for writer in writers):
            seen += follower.page()
        for writer in writers:
            writer.result()
    seen += follower.news()

    assert seen == listed(client, event="policy.changed")
    assert len(seen) > 100


def test_a_cursor_from_beyond_the_end_of_a_log_that_was_set_back_is_refused(
    client: TestClient, resources: Resources, servers: Servers
) -> None:
    name = make_url(resources.settings.database_url).database
    assert name is not None
    resources.database.close()
    older = servers.database(name)
    for number in range(1, 4):
        post(client, [f"person-{number}"])
    lost = Follower(client)
    lost.news()
    with client_for(resources.settings.model_copy(update={"database_url": older})) as again:
        answer = again.get(RECORDS, params={"cursor": lost.cursor})
        said = assert_problem(answer, 400, "invalid-cursor")
        assert "set back" in said["detail"]
        follower = Follower(again)
        assert len(follower.news()) == 2
        # Who is at the end goes on from there.
        assert follower.events() == []
        post(again, ["person-5"])
        assert follower.events() == ["request.accepted"]


def test_by_the_statement_for_other_ways_to_restore_a_follower_is_brought_what_comes_after(
    client: TestClient, resources: Resources, servers: Servers
) -> None:
    name = make_url(resources.settings.database_url).database
    assert name is not None
    resources.database.close()
    older = resources.settings.model_copy(update={"database_url": servers.database(name)})
    post(client, ["person-1"])
    lost = Follower(client)
    lost.news()
    (statement,) = re.findall(r"```sql\n(.*?)```", BACKUP.read_text(), re.DOTALL)
    execute(older, statement)
    with client_for(older) as again:
        post(again, ["person-2"])
        post(again, ["person-3"])
        followed = again.get(RECORDS, params={"cursor": lost.cursor}).json()["records"]
    assert [record["event"] for record in followed] == ["request.accepted"] * 2


def test_a_number_that_was_rolled_back_is_no_place_to_go_on_from(
    client: TestClient, resources: Resources
) -> None:
    follower = Follower(client)
    follower.news()
    before = follower.cursor
    with resources.database.transaction() as session:
        write(session, Event.RUN_STARTED)
        session.rollback()
    # After a crash PostgreSQL may give that number to another record.
    assert follower.events() == []
    assert follower.cursor == before
    post(client, ["person-1"])
    assert follower.events() == ["request.accepted"]


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


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        cursors.encode(["a"]),
        cursors.encode([1, 2]),
        cursors.encode([2**63]),
        cursors.encode([10**40]),
        cursors.encode([-(2**63) - 1]),
    ],
)
def test_a_cursor_that_was_not_issued_is_refused(reader: TestClient, cursor: str) -> None:
    assert_problem(reader.get(RECORDS, params={"cursor": cursor}), 400, "invalid-cursor")
