"""The verdict of a run: what was measured, what was changed, what follows, and why.

Everything here is counted from what the base and the candidate made of one probe; nothing is
measured anew. Figures come with their counts and 95 % intervals.
"""

from dataclasses import dataclass

from models.records import RunState
from models.records.base import Json
from workers.candidates import Tried, Tuned
from workers.claims import Run
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Fall, falls
from workers.unlearning.intervals import Estimate
from workers.unlearning.membership import LossAttack, entropy_attack, loss_attack
from workers.unlearning.observation import Observed
from workers.unlearning.search import Trial
from workers.unlearning.verification import Closeness, Probe, Standing

UNDECIDABLE = "undecidable"


@dataclass(frozen=True)
class Verdict:
    """What becomes of a run: its state, what is said of it, and what follows for samples."""

    state: RunState
    document: Json
    # Labels whose forgotten samples the network still gives away.
    short: set[int]
    budget_spent: bool


def decide(run: Run, tuned: Tuned) -> RunState:
    """What the gate makes of the candidate that was taken."""
    judgement = tuned.chosen.trial.judgement
    short = bool(judgement.shortfalls or judgement.undecided)
    if run.approval is not None:
        return RunState.PUBLISHED_SHORT if short else RunState.PUBLISHED
    if judgement.damage or judgement.undecided:
        return RunState.NEEDS_REVIEW
    if judgement.shortfalls:
        best_effort = run.policy.gate.on_shortfall == "best_effort"
        return RunState.PUBLISHED_SHORT if best_effort else RunState.NEEDS_REVIEW
    return RunState.PUBLISHED if tuned.gate.influenced else RunState.NO_DETECTABLE_INFLUENCE


def give_verdict(run: Run, tuned: Tuned, changes: dict[str, tuple[int, float]]) -> Verdict:
    """Put everything together. `changes` are entries and norm of what changed, by parameter."""
    chosen, gate = tuned.chosen, tuned.gate
    judgement = chosen.trial.judgement
    state = decide(run, tuned)
    undecided = state is RunState.NEEDS_REVIEW and judgement.undecided and not judgement.damage
    spent = _holdout_fall(tuned)
    allowed = run.policy.gate.max_holdout_fall
    document = {
        "outcome": UNDECIDABLE if undecided else state.value,
        "reasons": [*judgement.damage, *judgement.shortfalls, *judgement.undecided],
        "remarks": _remarks(run, tuned, state),
        "policy": run.policy.model_dump(mode="json", by_alias=True),
        "policy_version": run.policy_version,
        "damage_budget": {"allowed": allowed, "spent": spent},
        "rung": tuned.rung,
        "ladder": [_rung(tried, tuned) for tried in tuned.ladder],
        "cohorts": [_cohort(cohort, tuned) for cohort in chosen.trial.settings],
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
            label
            for cohort, standing in judgement.standings.items()
            if standing.closeness is not Closeness.ALIKE
            for label in cohort.labels
        },
        budget_spent=bool(judgement.damage) or (spent is not None and spent >= allowed > 0),
    )


def figures(observed: Observed, probe: Probe) -> Json:
    """One network's figures on each set of samples, and what attacks make of the forgotten."""
    forgotten = observed.at([p for positions in probe.forgotten.values() for p in positions])
    retained, holdout = observed.at(probe.retained), observed.at(probe.holdout)
    unseen = observed.at(probe.unseen)
    return {
        "forgotten": _group(forgotten),
        "retained": _group(retained),
        "holdout": _group(holdout),
        "holdout_of_retained_labels": _group(holdout.without(probe.gone)),
        "by_label": {
            str(label): {
                "retained": _estimate(retained.of([label]).accuracy_estimate),
                "holdout": _estimate(
                    observed.at([*probe.holdout, *probe.unseen]).of([label]).accuracy_estimate
                ),
            }
            for label in sorted({*retained.labels.tolist(), *holdout.labels.tolist()})
        },
        "attacks": {
            "loss": _attack(loss_attack(forgotten, unseen)),
            "entropy": _estimate(entropy_attack(retained, holdout, forgotten)),
        },
    }


def _group(observed: Observed) -> Json:
    return {
        "accuracy": _estimate(observed.accuracy_estimate),
        "loss": _estimate(observed.loss_estimate),
    }


def _estimate(estimate: Estimate | None) -> Json | None:
    return None if estimate is None else dict(estimate.as_json())


def _attack(attack: LossAttack | None) -> Json | None:
    if attack is None:
        return None
    return {
        "area": _estimate(attack.area),
        "true_positives_at_1_percent": _estimate(attack.true_positives),
        "unseen": attack.unseen,
        "unmatched": attack.unmatched,
    }


def _standing(standing: Standing) -> Json:
    return {
        "closeness": standing.closeness.value,
        "distance": standing.distance,
        "accuracy": _estimate(standing.accuracy),
        "recognised": _estimate(standing.recognised),
        "attack": _attack(standing.attack),
    }


def _cohort(cohort: Cohort, tuned: Tuned) -> Json:
    trial = tuned.chosen.trial
    after = trial.judgement.standings[cohort]
    return {
        "name": cohort.name,
        "labels": list(cohort.labels),
        "samples": cohort.count,
        **_setting(trial, cohort),
        "dampened": tuned.mixture.by_cohort[cohort],
        "rule": after.rule.value,
        "base": _standing(tuned.gate.at_base[cohort]),
        "candidate": _standing(after),
    }


def _setting(trial: Trial, cohort: Cohort) -> Json:
    setting = trial.settings[cohort]
    return {"alpha": setting.selection, "lambda": setting.strength}


def _rung(tried: Tried, tuned: Tuned) -> Json:
    trial, judgement = tried.trial, tried.trial.judgement
    retained, by_label, holdout = falls(tuned.gate.base, tried.seen, tuned.gate.probe)
    worst = max(by_label.items(), key=lambda item: item[1].points, default=None)
    return {
        "settings": {cohort.name: _setting(trial, cohort) for cohort in trial.settings},
        "passes": judgement.passes,
        "damage": judgement.damage,
        "shortfalls": judgement.shortfalls,
        "undecided": judgement.undecided,
        "distance": judgement.distance,
        "change_norm": trial.change,
        "retained": _fall(retained),
        "holdout_of_retained_labels": _fall(holdout),
        "worst_label": worst and {"label": worst[0], **(_fall(worst[1]) or {})},
        "cohorts": {
            cohort.name: _standing(standing) for cohort, standing in judgement.standings.items()
        },
    }


def _fall(fall: Fall | None) -> Json | None:
    if fall is None:
        return None
    return {"base": fall.before, "candidate": fall.after, "count": fall.count}


def _holdout_fall(tuned: Tuned) -> float | None:
    _, _, holdout = falls(tuned.gate.base, tuned.chosen.seen, tuned.gate.probe)
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


def _remarks(run: Run, tuned: Tuned, state: RunState) -> list[str]:
    """What a reader of the figures must know and might overlook."""
    said = []
    if state is RunState.NO_DETECTABLE_INFLUENCE:
        said.append(
            "The base already treated these samples like unseen ones, as far as so many can tell. "
            "They were dampened for all the same, as a precaution."
        )
    if run.approval is not None:
        said.append(f"Rung {run.approval.rung} was approved by {run.approval.by}.")
    for cohort, standing in tuned.chosen.trial.judgement.standings.items():
        missing = len(tuned.gate.probe.forgotten[cohort]) - (
            standing.accuracy.count if standing.accuracy else 0
        )
        if missing:
            said.append(
                f"{cohort.title}: {missing} forgotten samples of earlier requests could not be "
                "looked at again, because their images are gone."
            )
    return said
