"""Ending the runs of workers that are gone: who may, when, and what is put on record."""

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from models.errors import LeaseLost
from models.records import Outcome, RunState
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.test_steward import stewardship
from tests.integration.workers.transactions.test_claims import FAILURE, claimed, expire
from tests.integration.workers.transactions.test_releases import items
from workers import pipeline
from workers.duties.recovering import take_over_expired
from workers.leases import require_lease
from workers.transactions.breakdowns import give_up
from workers.transactions.claims import MOST_HALVINGS
from workers.transactions.recovery import Death, bury
from workers.transactions.releases import Cause

SAMPLES = Cause.ITS_SAMPLES
KILLED = Death(signal=signal.SIGKILL, exit_status=None, peak_bytes=3 << 30)
CRASHED = Death(signal=signal.SIGSEGV, exit_status=None, peak_bytes=1 << 20)


def test_a_death_that_is_seen_frees_the_items_at_once_and_stands_on_record(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    resources = replace(story.resources, worker="host:1")
    run = claimed(story, resources)
    assert bury(story.database, "host:1", KILLED, SAMPLES, resources.settings) == [run.model_id]
    (ended,) = story.runs()
    assert ended.state is RunState.ABANDONED
    assert ended.death == {"signal": 9, "exit_status": None, "peak_bytes": 3 << 30}
    assert ended.failure is not None
    assert "SIGKILL after using 3072 MiB" in ended.failure["detail"]
    assert "lack of memory" in ended.failure["detail"]
    assert audit_events(story.database)[-1] == "run.abandoned"
    # Nobody has to wait for the lease; and what the dead one would write is refused.
    assert claimed(story, story.resources).epoch > run.epoch
    with pytest.raises(LeaseLost):
        give_up(run, resources, FAILURE, {}, Cause.ITS_SAMPLES)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}


def test_who_was_taken_for_dead_holds_no_lease_even_before_somebody_else_does(
    story: Story, digits: Digits
) -> None:
    story.post(digits.of_label(3)[:4])
    resources = replace(story.resources, worker="host:1")
    run = claimed(story, resources)
    bury(story.database, "host:1", KILLED, SAMPLES, resources.settings)
    with story.database.transaction() as session, pytest.raises(LeaseLost):
        require_lease(session, run.model_id, run.epoch)


def test_a_death_is_held_against_the_items_and_another_process_is_left_alone(
    story: Story, digits: Digits
) -> None:
    story.post(digits.of_label(3)[:4])
    run = claimed(story, replace(story.resources, worker="host:1"))
    assert bury(story.database, "host:2", CRASHED, SAMPLES, story.resources.settings) == []
    assert story.runs()[0].state is RunState.RUNNING
    bury(story.database, "host:1", CRASHED, SAMPLES, story.resources.settings)
    assert {item.blame for item in items(story).values()} == {1}
    assert claimed(story, story.resources).samples == run.samples


def test_a_run_that_was_killed_because_its_worker_had_to_stop_is_held_against_nobody(
    story: Story, digits: Digits
) -> None:
    story.post(digits.of_label(3)[:4])
    claimed(story, replace(story.resources, worker="host:1"))
    bury(story.database, "host:1", KILLED, Cause.A_DECISION, story.resources.settings)
    assert {(item.attempts, item.blame) for item in items(story).values()} == {(0, 0)}
    assert story.runs()[0].death is not None


def test_after_killed_runs_the_next_takes_less_memory_until_one_comes_through(
    story: Story, digits: Digits
) -> None:
    story.post(digits.of_label(3)[:4])
    starved = []
    for _ in range(MOST_HALVINGS + 2):
        run = claimed(story, replace(story.resources, worker="host:1"))
        starved.append(run.starved)
        bury(story.database, "host:1", KILLED, SAMPLES, story.resources.settings)
    assert starved == [0, 0, 1, 2, 3, 4]
    pipeline.unlearn(claimed(story, story.resources), story.resources)
    story.post(digits.of_label(5)[:1])
    assert claimed(story, story.resources).starved == 0


def test_the_steward_ends_a_run_whose_lease_has_run_out_and_no_other(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    stale = claimed(story, story.resources)
    assert take_over_expired(stewardship(story)) == 0
    expire(story)
    with ThreadPoolExecutor(4) as pool:
        ended = pool.map(lambda _: take_over_expired(stewardship(story)), range(8))
    assert sum(ended) == 1
    assert story.runs()[0].state is RunState.ABANDONED
    pipeline.unlearn(stale, story.resources)
    assert [row.version for row in story.checkpoints()] == [0]
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}
