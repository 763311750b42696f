"""One writer per registered model: claims, takeovers, and what a stale worker may not do."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from models.artifacts import Artifact
from models.errors import LeaseLost
from models.fencing import lock_lease
from models.records import (
    AuditRecord,
    DeletionItem,
    Lease,
    Outcome,
    RegisteredModel,
    RunState,
    UnlearningRun,
)
from models.records.deletion_item import MAX_REASON
from models.settings import Settings
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import outcomes, sample_row
from tests.support.reports import make_report, read
from workers import pipeline
from workers.failures import Failure
from workers.judging.verdicts import Judged
from workers.leases import Heartbeat, give_back
from workers.resources import Resources
from workers.runs import Run
from workers.transactions.breakdowns import cancel, give_up, lay_down
from workers.transactions.claims import claim
from workers.transactions.endings import hold_for_review, predict, settle_without_checkpoint
from workers.transactions.publication import Stored, publish
from workers.transactions.releases import Cause
from workers.transactions.settlement import fail_items, mark_forgotten, settle_items
from workers.unlearning.importances import Provenance
from workers.weighing import Weighed

FAILURE = Failure("k", "d")


def claimed(story: Story, resources: Resources) -> Run:
    """A run that must be there to be claimed."""
    run = claim(story.model().id, resources)
    assert run is not None
    return run


def expire(story: Story) -> None:
    """As if the worker had not renewed its lease for too long."""
    with story.database.transaction() as session:
        session.execute(
            update(Lease).values(expires_at=func.clock_timestamp() - timedelta(seconds=1))
        )


def quick(story: Story) -> Settings:
    """Settings with a heartbeat that a test need not wait for."""
    return story.resources.settings.model_copy(update={"lease_s": 60, "heartbeat_s": 0.02})


def lease(story: Story) -> Lease:
    """The one lease there is."""
    with story.database.reading() as session:
        return session.scalars(select(Lease)).one()


def test_only_one_of_many_workers_gets_the_work(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3))
    model_id = story.model().id
    with ThreadPoolExecutor(8) as pool:
        rivals = [replace(story.resources, worker=f"rival-{number}") for number in range(8)]
        runs = list(pool.map(lambda rival: claim(model_id, rival), rivals))
    assert sum(run is not None for run in runs) == 1
    assert len(story.runs()) == 1


def test_without_pending_items_nothing_is_claimed_and_the_lease_is_free(story: Story) -> None:
    assert claim(story.model().id, story.resources) is None
    assert story.runs() == []
    assert lease(story).holder is None


def test_an_expired_run_is_abandoned_and_its_items_go_to_the_next(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    lost = claimed(story, story.resources)
    assert claim(story.model().id, story.resources) is None
    expire(story)
    taken = claimed(story, replace(story.resources, worker="another"))
    assert taken.epoch > lost.epoch
    assert taken.samples == lost.samples
    first, second = story.runs()
    assert (first.id, first.state) == (lost.id, RunState.ABANDONED)
    assert (second.id, second.state, second.attempt) == (taken.id, RunState.RUNNING, 2)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}


def test_a_run_knows_what_the_base_has_recognised_at_least(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:4])
    known = story.model().base_accuracy
    assert known is not None
    run = claimed(story, story.resources)
    assert run.recognised == known["train"]["low"] < known["train"]["value"]


def test_a_stale_worker_changes_nothing(story: Story, digits: Digits) -> None:
    sample_ids = digits.of_label(3)[:4]
    request_id = story.post(sample_ids)
    stale = claimed(story, story.resources)
    expire(story)
    claimed(story, replace(story.resources, worker="another"))
    weighed = Weighed(trained=stale.samples, holdout=(), unusable={})
    report = read(make_report())
    judged = Judged(RunState.PUBLISHED, report.verdict, report, weakened={})
    attempts = [
        lambda: publish(
            stale,
            weighed,
            Provenance("w", "m"),
            Stored(Artifact("0" * 64, 1), {}),
            judged,
            dict,
            story.resources,
        ),
        lambda: settle_without_checkpoint(stale, weighed, dict, story.resources),
        lambda: hold_for_review(stale, weighed, judged, dict, story.resources),
        lambda: predict(stale, weighed, judged, dict, story.resources),
        lambda: give_up(stale, story.resources, FAILURE, {}, Cause.ITS_SURROUNDINGS),
        lambda: lay_down(stale, story.resources, FAILURE, {}),
        lambda: cancel(stale, story.resources, {}),
    ]
    for attempt in attempts:
        with pytest.raises(LeaseLost):
            attempt()
    assert [row.version for row in story.checkpoints()] == [0]
    assert story.model().head_version == 0
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}
    assert sample_row(story.database, sample_ids[0]).forgotten_version is None
    assert [run.state for run in story.runs()] == [RunState.ABANDONED, RunState.RUNNING]


def test_the_head_moves_only_from_where_the_run_began(story: Story, digits: Digits) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)
    with story.database.transaction() as session:
        # Whoever did that had no lease.
        session.execute(update(RegisteredModel).values(head_version=1))
    report = read(make_report())
    with pytest.raises(LeaseLost, match="head has moved"):
        publish(
            run,
            Weighed(trained=run.samples, holdout=(), unusable={}),
            Provenance("w", "m"),
            Stored(Artifact("0" * 64, 1), {}),
            Judged(RunState.PUBLISHED, report.verdict, report, weakened={}),
            dict,
            story.resources,
        )
    assert story.model().head_version == 1
    assert [row.version for row in story.checkpoints()] == [0]
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}


def test_a_stale_worker_that_wakes_up_ends_without_a_word(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:4])
    stale = claimed(story, story.resources)
    expire(story)
    taken = claimed(story, replace(story.resources, worker="another"))
    pipeline.unlearn(stale, story.resources)
    pipeline.unlearn(taken, story.resources)
    # Four samples: too few for anything to be detected.
    ended = [RunState.ABANDONED, RunState.NO_DETECTABLE_INFLUENCE]
    assert [run.state for run in story.runs()] == ended
    assert [row.run_id for row in story.checkpoints()] == [None, taken.id]


def test_what_another_run_has_forgotten_meanwhile_is_not_weighed_again(
    story: Story, digits: Digits
) -> None:
    meanwhile, new = digits.of_label(3)[1:3]
    request_id = story.post([meanwhile, new])
    with story.database.transaction() as session:
        # As if a run had held it when it was posted here, too.
        mark_forgotten(session, story.model().id, [meanwhile], version=0)
    run = claimed(story, story.resources)
    # To the sums of its label it has been added already.
    assert [sample.sample_id for sample in run.samples] == [new]
    with story.database.transaction() as session:
        mark_forgotten(session, run.model_id, [meanwhile, new], version=1)
        settle_items(session, run.id)
    assert outcomes(story.database, request_id) == {
        Outcome.ALREADY_FORGOTTEN: 1,
        Outcome.FORGOTTEN: 1,
    }
    assert sample_row(story.database, meanwhile).forgotten_version == 0


def test_a_claim_that_had_to_wait_for_a_publication_begins_from_what_was_published(
    story: Story, digits: Digits
) -> None:
    model_id = story.model().id
    assert claim(model_id, story.resources) is None
    story.post(digits.of_label(3)[:4])
    with ThreadPoolExecutor(1) as pool:
        with story.database.transaction() as session:
            lock_lease(session, model_id)
            waiting = pool.submit(claim, model_id, story.resources)
            assert eventually(lambda: _waits_for_a_lock(story))
            session.execute(update(RegisteredModel).values(head_version=1, policy_version=2))
        run = waiting.result()
    assert run is not None
    assert (run.parent_version, run.policy_version) == (1, 2)


def _waits_for_a_lock(story: Story) -> bool:
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with story.database.reading() as session:
        return bool(session.scalar(blocked))


def test_a_heartbeat_renews_and_a_lease_given_back_stays_free(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)
    before = lease(story).expires_at
    heartbeat = Heartbeat(story.database, run.model_id, run.epoch, quick(story))
    with heartbeat.beating():
        assert eventually(lambda: lease(story).expires_at > before)
        with story.database.transaction() as session:
            give_back(session, run.model_id, run.epoch)
        assert eventually(lambda: heartbeat.lost)
    assert lease(story).holder is None
    with story.database.reading() as session:
        assert lease(story).expires_at < session.scalar(select(func.now()))


def test_a_heartbeat_notices_a_takeover(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)
    expire(story)
    claimed(story, replace(story.resources, worker="another"))
    heartbeat = Heartbeat(story.database, run.model_id, run.epoch, quick(story))
    with heartbeat.beating():
        assert eventually(lambda: heartbeat.lost)
        with pytest.raises(LeaseLost):
            heartbeat.check()


def test_what_is_more_than_one_run_takes_is_taken_in_the_order_of_posting(
    story: Story, digits: Digits
) -> None:
    samples = digits.of_label(3)[1:7]
    for sample in reversed(samples):
        story.post([sample])
    few = story.resources.settings.model_copy(update={"max_items_per_run": 2})
    run = claimed(story, replace(story.resources, settings=few))
    assert [sample.sample_id for sample in run.samples] == samples[-2:]


def test_an_approved_run_that_rests_is_not_taken_up(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3)[:4])
    run = claimed(story, story.resources)
    expire(story)
    with story.database.transaction() as session:
        # As if it had been approved, and its first attempt had failed.
        session.get_one(UnlearningRun, run.id).state = RunState.NEEDS_REVIEW
        session.flush()
        session.get_one(UnlearningRun, run.id).state = RunState.APPROVED
        later = func.now() + timedelta(hours=1)
        session.execute(update(DeletionItem).values(retry_at=later))
    assert claim(story.model().id, story.resources) is None
    assert len(story.runs()) == 1


def test_of_what_is_too_much_the_earliest_requests_are_carried_out(
    story: Story, digits: Digits
) -> None:
    trained = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10]
    unseen = [name for name in digits.sample_ids if int(name.split("-")[1]) % 10 == 0]
    gone = story.post(trained[:10])
    early, late, free = (
        story.post(samples) for samples in (trained[10:25], trained[25:40], unseen)
    )
    # 5 % of 540 are 27, and ten have been forgotten by another run meanwhile.
    story.set_policy(gate={"max_forgotten_share": 0.05})
    with story.database.transaction() as session:
        mark_forgotten(session, story.model().id, trained[:10], version=0)
    run = claimed(story, story.resources)
    assert {sample.sample_id for sample in run.samples} == {*trained[10:25], *unseen}
    assert outcomes(story.database, late) == {Outcome.FAILED: 15}
    for request_id, count in ((gone, 10), (early, 15), (free, len(unseen))):
        assert outcomes(story.database, request_id) == {Outcome.PENDING: count}
    assert story.runs()[-1].item_count == 10 + 15 + len(unseen)


def test_a_run_is_told_in_the_audit_log_without_sample_ids(story: Story, digits: Digits) -> None:
    story.forget(digits.of_label(3))
    with story.database.reading() as session:
        records = session.scalars(select(AuditRecord).order_by(AuditRecord.sequence)).all()
    assert [record.event for record in records] == [
        "enrolment.requested",
        "model.enrolled",
        "request.accepted",
        "run.started",
        "checkpoint.published",
    ]
    assert not any("person-" in str(record.details) for record in records)


def test_a_run_may_settle_more_items_than_a_statement_has_parameters(
    story: Story, digits: Digits
) -> None:
    present = digits.of_label(3)
    absent = [f"nobody-{number}" for number in range(100_000)]
    request_id = story.post(present)
    run = claimed(story, story.resources)
    with story.database.transaction() as session:
        mark_forgotten(session, run.model_id, [*absent, *present[1:]], version=7)
        fail_items(session, run.id, [*absent, present[0]], "gone")
        assert sum(settle_items(session, run.id).values()) == len(present) - 1
    assert outcomes(story.database, request_id) == {
        Outcome.FORGOTTEN: len(present) - 1,
        Outcome.FAILED: 1,
    }


def test_a_reason_that_is_too_long_for_its_column_is_cut(story: Story, digits: Digits) -> None:
    first, second = digits.of_label(3)[1:3]
    story.post([first, second])
    run = claimed(story, story.resources)
    long = "x" * (MAX_REASON + 1)
    with story.database.transaction() as session:
        assert fail_items(session, run.id, [first], long) == 1
    give_up(run, story.resources, Failure("k", long), {}, None)
    with story.database.reading() as session:
        reasons = session.scalars(select(DeletionItem.reason)).all()
    assert reasons == [long[:MAX_REASON]] * 2


def eventually(condition: object, *, seconds: float = 10) -> bool:
    """Whether a condition becomes true in time, looked at often."""
    assert callable(condition)
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return True
        waiting.wait(0.01)
    return False
