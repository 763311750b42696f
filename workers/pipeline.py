"""One run, from a claimed batch to a published checkpoint; its steps are the functions below.

    claim → load → weigh → tune → verify → store → publish

Every version is computed from the base and from the Fisher sums of everything forgotten so far,
never from the version before it. Nothing is resumed: after a crash the next run starts at the
claim, and what this one had stored is never referred to.
"""

import logging

from models.errors import ExpungeError, LeaseLost
from models.records import Phase
from models.records.base import Json
from workers.candidates import Tuned, tune
from workers.claims import Run, give_up
from workers.failures import describe, log_unexpected
from workers.leases import Heartbeat
from workers.publication import Candidate, hold_for_review, publish, settle_without_checkpoint
from workers.resources import Resources
from workers.runlog import RunLog
from workers.subjects import Subject, load_subject, read_on
from workers.tensors import write_tensors
from workers.unlearning.dampening import Weights
from workers.unlearning.verification import judge, measure
from workers.verdicts import Measured, layers, remarks
from workers.weighing import Weighed, weigh

log = logging.getLogger(__name__)


def unlearn(run: Run, resources: Resources) -> None:
    """Carry out a claimed run. It ends in a final state, unless its lease was lost on the way."""
    settings = resources.settings
    heartbeat = Heartbeat(
        resources.database,
        run.model_id,
        run.epoch,
        lease_s=settings.lease_s,
        every_s=settings.heartbeat_s,
    )
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
    except Exception as error:  # noqa: BLE001  (kept in the row, and logged)
        if not isinstance(error, ExpungeError):
            log_unexpected(log, error)
        give_up(run, resources, describe(error), runlog.timings())


def _steps(run: Run, resources: Resources, runlog: RunLog) -> None:
    with runlog.phase(Phase.LOAD):
        subject = load_subject(run, resources)
    with runlog.phase(Phase.WEIGH):
        weighed = weigh(run, subject, resources, runlog.report)
    if not weighed.trained:
        settle_without_checkpoint(run, weighed, runlog.timings, resources)
        return
    with runlog.phase(Phase.TUNE):
        tuned = tune(run, subject, weighed, resources)
    with runlog.phase(Phase.VERIFY):
        verdict = verify(run, subject, weighed, tuned, resources)
    if verdict["reasons"]:
        hold_for_review(run, verdict, runlog.timings, resources)
        return
    with runlog.phase(Phase.STORE):
        candidate = store(run, tuned, resources)
    with runlog.phase(Phase.PUBLISH):
        publish(run, weighed, subject.provenance, candidate, verdict, runlog.timings, resources)


def verify(
    run: Run, subject: Subject, weighed: Weighed, tuned: Tuned, resources: Resources
) -> Json:
    """Measure the head and the candidate on the same samples; the verdict, with its reasons."""
    forget = [(sample.position, sample.label) for sample in weighed.trained]

    def measured(weights: Weights) -> Measured:
        network = subject.put(weights)
        return Measured(
            forgotten=measure(network, subject.batches(forget)),
            retained=measure(network, subject.batches(subject.retained)),
            holdout=measure(network, subject.batches(subject.holdout)),
        )

    before = measured(read_on(subject.head, resources))
    after = measured(tuned.weights)
    gate = run.policy.gate
    reasons = (
        judge(before.retained, after.retained, max_fall=gate.max_retained_fall)
        if gate.enabled
        else []
    )
    sizes = {name: tensor.numel() for name, tensor in subject.full.items()}
    return {
        "outcome": "needs_review" if reasons else "published",
        "reasons": reasons,
        "remarks": remarks(before, after, len(weighed.trained)),
        "policy": run.policy.model_dump(mode="json", by_alias=True),
        "ladder": tuned.ladder,
        "cohorts": [cohort.as_json() for cohort in tuned.cohorts],
        "figures": {"before": before.as_json(tuned.gone), "after": after.as_json(tuned.gone)},
        "weights": layers(tuned.dampened, sizes),
    }


def store(run: Run, tuned: Tuned, resources: Resources) -> Candidate:
    """Write the new checkpoint to the store, durably, before any row names it."""
    metadata = run.enrolment.checkpoint_metadata()
    artifact = resources.store.put(lambda writer: write_tensors(writer, tuned.weights, metadata))
    return Candidate(artifact=artifact, forgotten_count=sum(tuned.forgotten.values()))
