"""The verdict of a run: what was measured, what was changed, what follows, and why.

Everything here is counted from what the base and the candidate made of one probe; nothing is
measured anew. Figures come with their counts and 95 % intervals.
"""

from dataclasses import dataclass

from models.records import RunState
from models.records.base import Json
from models.specifications import AutoMethod
from workers.judging.candidates import Tuned
from workers.judging.figures import as_estimate, as_standing, figures
from workers.judging.remarks import excused_by_label, remarks
from workers.runs import Run
from workers.unlearning.cohorts import Cohort
from workers.unlearning.damage import Fall
from workers.unlearning.judgement import decide
from workers.unlearning.search import Trial
from workers.unlearning.workbench import Tried

UNDECIDABLE = "undecidable"


@dataclass(frozen=True)
class Verdict:
    """What becomes of a run: its state, what is said of it, and what follows for samples."""

    state: RunState
    document: Json
    # Of labels whose forgotten samples were judged: whether the network still gives them away.
    short: dict[int, bool]
    retraining_advised: bool


def _state(run: Run, tuned: Tuned) -> RunState:
    """What becomes of the candidate that was taken; a person's approval goes before the gate."""
    judgement = tuned.chosen.trial.judgement
    if run.approval is not None:
        short = judgement.unmeasured or judgement.shortfalls or judgement.undecided
        return RunState.PUBLISHED_SHORT if short else RunState.PUBLISHED
    decision = decide(
        judgement,
        influenced=tuned.gate.influenced,
        best_effort=run.policy.gate.on_shortfall == "best_effort",
    )
    return RunState(decision.value)


def give_verdict(run: Run, tuned: Tuned, changes: dict[str, tuple[int, float]]) -> Verdict:
    """Put everything together. `changes` are entries and norm of what changed, by parameter."""
    chosen, gate = tuned.chosen, tuned.gate
    judgement = chosen.trial.judgement
    state = _state(run, tuned)
    # Unless it is known that it is not as it should be, whatever else cannot be told.
    undecided = not (judgement.damage or judgement.shortfalls)
    advised = _is_retraining_advised(run, tuned, state)
    document = {
        "outcome": UNDECIDABLE if state is RunState.NEEDS_REVIEW and undecided else state.value,
        "reasons": judgement.reasons,
        "remarks": list(remarks(run, tuned, state)),
        "policy": run.policy.model_dump(mode="json", by_alias=True),
        "policy_version": run.policy_version,
        "damage_budget": {
            "allowed": run.policy.gate.max_holdout_fall,
            "spent": _holdout_fall(tuned),
            "retraining_advised": advised,
        },
        "holdout_excused": excused_by_label(gate),
        "rung": tuned.rung,
        "ladder": [_rung(tried, tuned) for tried in tuned.ladder],
        "cohorts": [_cohort(cohort, tuned) for cohort in chosen.trial.settings],
        "pool": _pool(tuned),
        "figures": {
            "base": figures(gate.base, gate.probe),
            "candidate": figures(chosen.seen, gate.probe),
        },
        "weights": _weights(tuned, changes),
    }
    return Verdict(
        state=state,
        document=document,
        short={
            label: judgement.gives_away(cohort)
            for cohort in judgement.standings
            if cohort not in tuned.pinned | tuned.weakened
            for label in cohort.labels
        },
        retraining_advised=advised,
    )


def _is_retraining_advised(run: Run, tuned: Tuned, state: RunState) -> bool:
    """Whether no more damage may be done: by what is published, or by any rung of a search.

    That a setting which somebody chose does too much says nothing of others.
    """
    if state is RunState.NEEDS_REVIEW:
        is_search = isinstance(run.policy.method, AutoMethod)
        return is_search and bool(tuned.chosen.trial.judgement.damage)
    spent, allowed = _holdout_fall(tuned), run.policy.gate.max_holdout_fall
    return spent is not None and spent >= allowed > 0


def _cohort(cohort: Cohort, tuned: Tuned) -> Json:
    trial = tuned.chosen.trial
    before, after = tuned.gate.at_base[cohort], trial.judgement.standings[cohort]
    expectation = tuned.gate.expectations.get(cohort)
    return {
        "name": cohort.name,
        "labels": list(cohort.labels),
        "samples": cohort.count,
        **_setting(trial, cohort),
        "dampened": tuned.mixture.by_cohort[cohort],
        "rule": before.rule.value,
        "expectation": expectation and expectation.as_json(),
        "base": as_standing(before),
        "candidate": as_standing(after),
        "last_layer_restored": as_estimate(trial.judgement.last_layer_restored.get(cohort)),
        "gives_away": cohort in tuned.weakened or trial.judgement.gives_away(cohort),
    }


def _pool(tuned: Tuned) -> Json | None:
    """The cohorts that show nothing one by one, judged together, where there are several."""
    before, after = tuned.gate.pool.at_base, tuned.chosen.trial.judgement.pooled
    if before is None or after is None:
        return None
    return {
        "cohorts": sorted(cohort.name for cohort in before.cohorts),
        "base": as_standing(before.standing),
        "candidate": as_standing(after.standing),
        # If so, every later version has to as well.
        "forgotten": tuned.gate.has_forgotten_together(tuned.chosen.trial.judgement),
    }


def _setting(trial: Trial, cohort: Cohort) -> Json:
    setting = trial.settings[cohort]
    return {"alpha": setting.selection, "lambda": setting.strength}


def _rung(tried: Tried, tuned: Tuned) -> Json:
    trial, judgement = tried.trial, tried.trial.judgement
    found = judgement.falls
    worst = found.worst_label(tuned.gate.bounds.falls)
    return {
        "settings": {cohort.name: _setting(trial, cohort) for cohort in trial.settings},
        "passes": judgement.passes,
        "damage": judgement.damage,
        "shortfalls": judgement.shortfalls,
        "undecided": [*judgement.unmeasured, *judgement.undecided],
        "distance": judgement.distance,
        "change_norm": trial.change,
        "retained": _fall(found.retained),
        "holdout_of_retained_labels": _fall(found.holdout),
        "worst_label": worst and {"label": worst[0], **(_fall(worst[1]) or {})},
        "cohorts": {
            cohort.name: as_standing(standing) for cohort, standing in judgement.standings.items()
        },
        "pool": judgement.pooled and as_standing(judgement.pooled.standing),
        "last_layer_restored": {
            cohort.name: as_estimate(found)
            for cohort, found in judgement.last_layer_restored.items()
        },
    }


def _fall(fall: Fall | None) -> Json | None:
    if fall is None:
        return None
    return {
        "base": fall.before,
        "candidate": fall.after,
        "count": fall.count,
        "fall": as_estimate(fall.estimate),
    }


def _holdout_fall(tuned: Tuned) -> float | None:
    holdout = tuned.chosen.trial.judgement.falls.holdout
    return None if holdout is None else max(0.0, holdout.points)


def _weights(tuned: Tuned, changes: dict[str, tuple[int, float]]) -> Json:
    sizes = {name: tuned.mixture.weights[name].numel() for name in changes}
    dampened = tuned.mixture.by_parameter
    total, count = sum(sizes.values()), sum(dampened.values())
    return {
        "total": total,
        "dampened": count,
        "share": count / total,
        "change_norm": tuned.chosen.trial.change,
        "layers": {
            name: {
                "total": size,
                "dampened": dampened[name],
                "share": dampened[name] / size,
                "changed": changes[name][0],
                "change_norm": changes[name][1],
            }
            for name, size in sizes.items()
        },
    }
