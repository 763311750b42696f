"""One run, from a claimed batch to a published checkpoint: its steps, and how it ends.

    claim → load → weigh → tune → verify → store → publish

Every version is computed from the base and from the Fisher sums of everything forgotten so far,
never from the version before it. Nothing is resumed: after a crash the next run starts at the
claim, and what this one had stored is never referred to.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from rq.timeouts import JobTimeoutException

from models.artifacts import open_store
from models.artifacts.scratch import beside
from models.errors import ExpungeError, LeaseLost, RunCancelled, RunTimedOut, WorkerStopping
from models.failpoints import Failpoint, failpoint
from models.records import Phase, RequestMode, RunState, Split
from workers.architectures import build
from workers.bookkeeping import Bookkeeping, keeping_books
from workers.datasets.source import Position
from workers.failures import describe, log_unexpected
from workers.judging.candidates import Tuned, tune
from workers.judging.examination import Examiner
from workers.judging.probes import quotas, select_probe
from workers.judging.reports import details
from workers.judging.verdicts import Judged, judge
from workers.leases import Heartbeat
from workers.persistence import persist
from workers.resources import Resources
from workers.runlog import RunLog
from workers.runs import Run
from workers.subjects import Subject, load_subject
from workers.tensors import write_tensors
from workers.transactions.breakdowns import cancel, cause_of, give_up, lay_down
from workers.transactions.endings import hold_for_review, predict, settle_without_checkpoint
from workers.transactions.publication import Stored, publish
from workers.unlearning.probing.resemblance import zero_retrain_forgetting
from workers.weighing import Weighed, weigh

# How many images are looked at, at least, to tell whether the dataset is there at all.
SOME = 20
log = logging.getLogger(__name__)


def unlearn(run: Run, resources: Resources) -> None:
    """Carry out a claimed run. It ends in a final state, unless its lease was lost on the way."""
    heartbeat = Heartbeat(resources.database, run.model_id, run.epoch, resources.settings)
    runlog = RunLog(run, resources, heartbeat)
    try:
        with heartbeat.beating():
            _steps_or_give_up(run, resources, runlog)
    except LeaseLost as error:
        # Whoever took over has ended this run; there is nothing left to write.
        log.warning("Run %s was taken over: %s", run.id, error)


def _steps_or_give_up(run: Run, resources: Resources, runlog: RunLog) -> None:
    try:
        _steps(run, resources, runlog)
    except LeaseLost:
        raise
    except RunCancelled:
        persist(lambda: cancel(run, resources, runlog.timings()))
    except WorkerStopping as error:
        failure = describe(error)
        persist(lambda: lay_down(run, resources, failure, runlog.timings()))
    except JobTimeoutException:
        limit = resources.settings.run_limit_s
        _give_up(run, resources, runlog, RunTimedOut(f"The run took more than {limit} seconds."))
    except Exception as error:  # noqa: BLE001  (kept in the row, and logged)
        if not isinstance(error, ExpungeError):
            log_unexpected(log, error)
        _give_up(run, resources, runlog, error)


def _give_up(run: Run, resources: Resources, runlog: RunLog, error: Exception) -> None:
    failure, cause = describe(error), cause_of(error, runlog.at)
    persist(lambda: give_up(run, resources, failure, runlog.timings(), cause))


def _steps(run: Run, given: Resources, runlog: RunLog) -> None:
    with _kept_or_not(run, given) as resources:
        with runlog.phase(Phase.LOAD):
            failpoint(Failpoint.LOAD)
            subject = load_subject(run, resources)
        with keeping_books(subject, resources, halvings=run.starved) as books:
            _weigh_and_judge(run, subject, books, resources, runlog)


def _weigh_and_judge(
    run: Run, subject: Subject, books: Bookkeeping, resources: Resources, runlog: RunLog
) -> None:
    with runlog.phase(Phase.WEIGH):
        failpoint(Failpoint.WEIGH)
        weighed = weigh(run, subject, books, lambda: _retained(run, resources), runlog.tell)
    if not weighed.trained:
        persist(lambda: settle_without_checkpoint(run, weighed, runlog.timings, resources))
        return
    with runlog.phase(Phase.TUNE):
        failpoint(Failpoint.TUNE)
        tuned, examiner = tune(run, subject, weighed, books, resources, runlog.tell)
    with runlog.phase(Phase.VERIFY):
        failpoint(Failpoint.VERIFY)
        judged = verify(run, subject, weighed, tuned, examiner)
    if run.mode is RequestMode.DRY_RUN:
        persist(lambda: predict(run, weighed, judged, runlog.timings, resources))
        return
    if judged.state is RunState.NEEDS_REVIEW:
        persist(lambda: hold_for_review(run, weighed, judged, runlog.timings, resources))
        return
    with runlog.phase(Phase.STORE):
        stored = store(run, tuned, books, resources)
    with runlog.phase(Phase.PUBLISH):
        persist(
            lambda: publish(
                run,
                weighed,
                subject.provenance,
                stored,
                judged,
                runlog.timings,
                resources,
            )
        )


@contextmanager
def _kept_or_not(run: Run, resources: Resources) -> Iterator[Resources]:
    """The resources; in a dry run nothing that is stored stays."""
    if run.mode is RequestMode.DELETE:
        yield resources
        return
    with beside(open_store(resources.settings.artifact_store_url)) as scratch:
        yield replace(resources, store=scratch)


def _retained(run: Run, resources: Resources) -> list[Position]:
    """Some training samples that stay, of every label that has any; else holdout samples."""
    with resources.database.reading() as session:

        def some(split: Split, counts: dict[int, int]) -> list[Position]:
            limits = quotas(counts, SOME)
            return select_probe(session, run.model_id, split, limits=limits, without=run.samples)

        return some(Split.TRAIN, run.trained) or some(Split.HOLDOUT, run.holdout)


def verify(
    run: Run, subject: Subject, weighed: Weighed, tuned: Tuned, examiner: Examiner
) -> Judged:
    """The verdict on the candidate that was taken, and what a report shows besides."""
    weights = tuned.mixture.weights
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = build(run.enrolment.architecture).to(subject.device)
    forgetting = {
        name: zero_retrain_forgetting(subject.put(of), reference, examiner.of_forgotten())
        for name, of in (("base", subject.base), ("candidate", weights))
    }
    return judge(run, weighed, tuned, details(tuned, forgetting))


def store(run: Run, tuned: Tuned, books: Bookkeeping, resources: Resources) -> Stored:
    """See to it that all files are in the store, durably, before any row names them."""
    metadata = run.enrolment.checkpoint_metadata()
    weights = tuned.mixture.weights
    checkpoint = resources.store.put(lambda writer: write_tensors(writer, weights, metadata))
    return Stored(checkpoint, books.stored())
