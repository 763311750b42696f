"""The verdict of a run: what was measured, what was changed, what follows, and why.

Everything here is counted from what the base and the candidate made of one probe; nothing is
measured anew. Figures come with their counts and 95 % intervals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models import documents
from models.documents import Closeness, Decision, Details, Verdict
from models.records import RunState
from models.specifications import AutoMethod
from workers.judging.candidates import Tuned
from workers.judging.figures import estimate, figures, standing
from workers.judging.remarks import excused_by_label, remarks
from workers.runs import Run
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.damage import Fall
from workers.unlearning.gating.judgement import decide
from workers.unlearning.searching.trials import Trial
from workers.unlearning.searching.workbench import Tried
from workers.weighing import Weighed


@dataclass(frozen=True)
class Judged:
    """What becomes of a run: its state, what is said of it, and what follows for samples."""

    state: RunState
    verdict: Verdict
    details: Details
    # Of labels whose forgotten samples are marked anew: whether the network may give them away.
    weakened: dict[int, bool]


def judge(run: Run, weighed: Weighed, tuned: Tuned, details: Details) -> Judged:
    """Put everything together."""
    state = _state(run, tuned)
    return Judged(
        state=state,
        verdict=_verdict(run, weighed, tuned, state),
        details=details,
        weakened=dict(marks_of(tuned)),
    )


def marks_of(tuned: Tuned) -> Iterator[tuple[int, bool]]:
    """Labels whose forgotten samples were judged, and whether the network may give them away.

    No mark is taken back where the base shows nothing: that may be so because the few which it
    gives away are among many others by now. Nor is anything told of labels without unseen samples.
    """
    judgement = tuned.chosen.trial.judgement
    for cohort in judgement.standings:
        if cohort in tuned.pinned | tuned.weakened:
            continue
        untold = tuned.gate.untold(cohort)
        alike = tuned.gate.closeness_at_base(cohort) is Closeness.ALIKE
        for label in cohort.labels:
            gives_away = judgement.gives_away(cohort) or label in untold
            if gives_away or not alike:
                yield label, gives_away


def _state(run: Run, tuned: Tuned) -> RunState:
    """What becomes of the candidate that was taken; a person's approval goes before the gate."""
    judgement = tuned.chosen.trial.judgement
    if run.approval is not None:
        short = judgement.unmeasured or judgement.shortfalls or judgement.undecided
        return RunState.PUBLISHED_SHORT if short else RunState.PUBLISHED
    decision = decide(
        judgement,
        influenced=tuned.gate.influenced,
        best_effort=run.policy.gate.is_best_effort,
    )
    return RunState(decision.value)


def _verdict(run: Run, weighed: Weighed, tuned: Tuned, state: RunState) -> Verdict:
    chosen, gate = tuned.chosen, tuned.gate
    judgement = chosen.trial.judgement
    # Unless it is known that it is not as it should be, whatever else cannot be told.
    undecided = not (judgement.damage or judgement.shortfalls)
    is_undecidable = state is RunState.NEEDS_REVIEW and undecided
    return Verdict(
        outcome=Decision.UNDECIDABLE if is_undecidable else Decision(state.value),
        asked=documents.Asked(
            training=len(weighed.trained),
            holdout=len(weighed.holdout),
            unreadable=len(weighed.unusable),
        ),
        parted=0,
        reasons=judgement.reasons,
        remarks=list(remarks(run, tuned, state)),
        policy=run.policy,
        policy_version=run.policy_version,
        damage_budget=documents.DamageBudget(
            allowed=run.policy.gate.max_holdout_fall,
            spent=_holdout_fall(tuned),
            retraining_advised=_is_retraining_advised(run, tuned, state),
        ),
        holdout_excused=excused_by_label(gate),
        rung=tuned.rung,
        ladder=[_rung(tried, tuned) for tried in tuned.ladder],
        cohorts=[_cohort(cohort, tuned) for cohort in chosen.trial.settings],
        pool=_pool(tuned),
        figures=documents.NetworkFigures(
            base=figures(gate.base, gate.probe), candidate=figures(chosen.seen, gate.probe)
        ),
        weights=_weights(tuned),
    )


def _is_retraining_advised(run: Run, tuned: Tuned, state: RunState) -> bool:
    """Whether no more damage may be done: by what is published, or by any rung of a search.

    That a setting which somebody chose does too much says nothing of others.
    """
    if state is RunState.NEEDS_REVIEW:
        is_search = isinstance(run.policy.method, AutoMethod)
        return is_search and bool(tuned.chosen.trial.judgement.damage)
    return run.policy.gate.is_spent(_holdout_fall(tuned))


def _cohort(cohort: Cohort, tuned: Tuned) -> documents.CohortVerdict:
    trial = tuned.chosen.trial
    before, after = tuned.gate.at_base[cohort], trial.judgement.standings[cohort]
    expectation = tuned.gate.expectations.get(cohort)
    return documents.CohortVerdict(
        name=cohort.name,
        labels=list(cohort.labels),
        samples=cohort.count,
        selection=trial.settings[cohort].selection,
        strength=trial.settings[cohort].strength,
        dampened=tuned.mixture.by_cohort[cohort],
        rule=before.rule,
        expectation=expectation and expectation.as_document(),
        base=standing(before),
        candidate=standing(after),
        last_layer_restored=estimate(trial.judgement.last_layer_restored.get(cohort)),
        gives_away=cohort in tuned.weakened or trial.judgement.gives_away(cohort),
    )


def _pool(tuned: Tuned) -> documents.Pool | None:
    """The cohorts that show nothing one by one, judged together, where there are several."""
    before, after = tuned.gate.pool.at_base, tuned.chosen.trial.judgement.pooled
    if before is None or after is None:
        return None
    return documents.Pool(
        cohorts=sorted(cohort.name for cohort in before.cohorts),
        base=standing(before.standing),
        candidate=standing(after.standing),
        forgotten=tuned.gate.has_forgotten_together(tuned.chosen.trial.judgement),
    )


def _rung(tried: Tried, tuned: Tuned) -> documents.Rung:
    trial, judgement = tried.trial, tried.trial.judgement
    found = judgement.falls
    worst = found.worst_label(tuned.gate.bounds.falls)
    return documents.Rung(
        settings={cohort.name: _setting(trial, cohort) for cohort in trial.settings},
        at_a_glance=judgement.at_a_glance,
        passes=judgement.passes,
        damage=judgement.damage,
        shortfalls=judgement.shortfalls,
        undecided=[*judgement.unmeasured, *judgement.undecided],
        given_back=sorted(cohort.name for cohort in judgement.given_back),
        distance=judgement.distance,
        change_norm=trial.change,
        retained=found.retained and documents.Fall(**_fall(found.retained)),
        holdout_of_retained_labels=found.holdout and documents.Fall(**_fall(found.holdout)),
        worst_label=worst and documents.LabelFall(label=worst[0], **_fall(worst[1])),
        cohorts={cohort.name: standing(each) for cohort, each in judgement.standings.items()},
        pool=judgement.pooled and standing(judgement.pooled.standing),
        last_layer_restored={
            cohort.name: share.as_document()
            for cohort, share in judgement.last_layer_restored.items()
        },
    )


def _setting(trial: Trial, cohort: Cohort) -> documents.CohortSetting:
    setting = trial.settings[cohort]
    return documents.CohortSetting(selection=setting.selection, strength=setting.strength)


def _fall(fall: Fall) -> dict[str, Any]:
    return {
        "base": fall.before,
        "candidate": fall.after,
        "count": fall.count,
        "fall": fall.estimate.as_document(),
    }


def _holdout_fall(tuned: Tuned) -> float | None:
    holdout = tuned.chosen.trial.judgement.falls.holdout
    return None if holdout is None else max(0.0, holdout.points)


def _weights(tuned: Tuned) -> documents.WeightsChange:
    changes = tuned.chosen.changes
    sizes = {name: tuned.mixture.weights[name].numel() for name in changes}
    dampened = tuned.mixture.by_parameter
    total, count = sum(sizes.values()), sum(dampened.values())
    return documents.WeightsChange(
        total=total,
        dampened=count,
        share=count / total if total else 0.0,
        change_norm=tuned.chosen.trial.change,
        layers={
            name: documents.LayerChange(
                total=size,
                dampened=dampened[name],
                share=dampened[name] / size if size else 0.0,
                changed=changes[name][0],
                change_norm=changes[name][1],
            )
            for name, size in sizes.items()
        },
    )
