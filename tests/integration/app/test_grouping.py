"""Requests that share a transaction: none of them may hold up or lose the others."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from anyio import to_thread
from sqlalchemy import text

from app.intake.accepting import Intake
from app.intake.grouping import Grouping
from app.intake.posted import Posted, read_posted
from app.schemas.deletion_requests import AcceptedRequest
from models.doorbell import Doorbell
from tests.integration.workers.conftest import PIPELINE, Story


def posted(name: str, key: str | None = None) -> Posted:
    body = json.dumps({"model": "digits", "sample_ids": [name]})
    return read_posted(body.encode(), key, PIPELINE, 100)


@contextmanager
def somebody_at(story: Story, key: str) -> Iterator[None]:
    """A request with that Idempotency-Key is being written elsewhere, and takes its time."""
    with story.database.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(
            text(
                "INSERT INTO deletion_request (id, model_id, state, mode, principal,"
                " idempotency_key, body_digest, item_count, duplicate_count, accepted_counts)"
                " VALUES (gen_random_uuid(), :model, 'pending', 'delete', 'pipeline', :key,"
                " repeat('0', 64), 0, 0, '{}')"
            ),
            {"model": story.model().id, "key": key},
        )
        yield
        transaction.rollback()


def accepted(story: Story) -> AcceptedRequest:
    """What one request is answered, in good time."""
    grouping = Grouping(Intake(story.database), story.resources.doorbell, 4)

    async def accept() -> AcceptedRequest:
        async with asyncio.timeout(20):
            return await grouping.accept(posted("person-1"))

    return asyncio.run(accept())


def test_who_waits_for_somebody_with_the_same_key_holds_up_nobody_else(story: Story) -> None:
    grouping = Grouping(Intake(story.database), story.resources.doorbell, 4)

    async def accept() -> tuple[float, AcceptedRequest]:
        # The first is counted for, alone; those that come after it share transactions.
        await grouping.accept(posted("person-9"))
        with somebody_at(story, "theirs"):
            waits = asyncio.create_task(grouping.accept(posted("person-1", "theirs")))
            began = time.monotonic()
            others = [grouping.accept(posted(f"person-{n}")) for n in range(2, 6)]
            await asyncio.gather(*others)
            took = time.monotonic() - began
            assert not waits.done()
        return took, await waits

    took, answer = asyncio.run(accept())
    # It waits for five seconds at most.
    assert took < 2.5
    assert answer.status == "pending"


def test_where_there_is_no_thread_to_be_had_everybody_is_answered_all_the_same(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sync, calls = to_thread.run_sync, []

    async def first_fails(*given: Any, **more: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise RuntimeError("can't start new thread")
        return await run_sync(*given, **more)

    monkeypatch.setattr(to_thread, "run_sync", first_fails)
    assert accepted(story).status == "pending"


def test_a_doorbell_that_breaks_takes_no_answer_along(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(Doorbell, "ring", broken)
    assert accepted(story).status == "pending"
