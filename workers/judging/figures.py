"""Figures of a verdict as JSON: one network's on each set of samples, with counts and intervals."""

from models.records.base import Json
from workers.unlearning.intervals import Estimate
from workers.unlearning.membership import LossAttack, entropy_attack, loss_attack
from workers.unlearning.observation import Observed
from workers.unlearning.probe import Probe
from workers.unlearning.verification import Standing


def figures(observed: Observed, probe: Probe) -> Json:
    """One network's figures on each set of samples, and what attacks make of the forgotten."""
    forgotten = observed.at([p for positions in probe.forgotten.values() for p in positions])
    retained, holdout = observed.at(probe.retained), observed.at(probe.holdout)
    unseen = observed.at(probe.unseen)
    either = observed.at([*probe.holdout, *probe.unseen])
    return {
        "forgotten": _group(forgotten),
        "retained": _group(retained),
        "holdout": _group(holdout),
        "holdout_of_retained_labels": _group(probe.undamaged(observed)),
        "by_label": {
            str(label): {
                "forgotten": _group(forgotten.of([label])),
                "retained": _group(retained.of([label])),
                "holdout": _group(either.of([label])),
                "loss_attack": as_attack(loss_attack(forgotten.of([label]), unseen.of([label]))),
            }
            for label in sorted({*forgotten.labels, *retained.labels, *either.labels})
        },
        "attacks": {
            "loss": as_attack(loss_attack(forgotten, unseen)),
            "entropy": as_estimate(entropy_attack(retained, holdout, forgotten)),
        },
    }


def _group(observed: Observed) -> Json:
    return {
        "accuracy": as_estimate(observed.accuracy_estimate),
        "loss": as_estimate(observed.loss_estimate),
    }


def as_estimate(found: Estimate | None) -> Json | None:
    """A figure with count and interval; None where nothing was measured."""
    return None if found is None else dict(found.as_json())


def as_attack(found: LossAttack | None) -> Json | None:
    """What the loss-based attack finds; None where there is nobody to compare with."""
    if found is None:
        return None
    return {
        "area": as_estimate(found.area),
        "true_positives_at_1_percent": as_estimate(found.true_positives),
        "unseen": found.unseen,
        "unmatched": found.unmatched,
    }


def as_standing(found: Standing) -> Json:
    """How a network treats a cohort."""
    return {
        "rule": found.rule.value,
        "closeness": found.closeness.value,
        "distance": found.distance,
        "bound": found.bound,
        "accepted": found.accepted,
        "accuracy": as_estimate(found.accuracy),
        "recognised": as_estimate(found.recognised),
        "recognised_on": found.recognised_on,
        "expected": found.expected,
        "attack": as_attack(found.attack),
    }
