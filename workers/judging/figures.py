"""Figures of a verdict: one network's on each set of samples, with counts and intervals."""

from models import documents
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.membership import LossAttack, entropy_attack, loss_attack
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import Standing


def figures(observed: Observed, probe: Probe) -> documents.Figures:
    """One network's figures on each set of samples, and what attacks make of the forgotten."""
    forgotten = observed.at([p for positions in probe.forgotten.values() for p in positions])
    retained, holdout = observed.at(probe.retained), observed.at(probe.holdout)
    unseen = observed.at(probe.unseen)
    either = observed.at([*probe.holdout, *probe.unseen])
    return documents.Figures(
        forgotten=_group(forgotten),
        retained=_group(retained),
        holdout=_group(holdout),
        holdout_of_retained_labels=_group(probe.undamaged(observed)),
        by_label={
            label: documents.LabelFigures(
                forgotten=_group(forgotten.of([label])),
                retained=_group(retained.of([label])),
                holdout=_group(either.of([label])),
                loss_attack=attack_figures(loss_attack(forgotten.of([label]), unseen.of([label]))),
            )
            for label in sorted({*forgotten.labels, *retained.labels, *either.labels})
        },
        attacks=documents.Attacks(
            loss=attack_figures(loss_attack(forgotten, unseen)),
            entropy=estimate(entropy_attack(retained, holdout, forgotten)),
        ),
    )


def _group(observed: Observed) -> documents.GroupFigures:
    return documents.GroupFigures(
        accuracy=estimate(observed.accuracy_estimate), loss=estimate(observed.loss_estimate)
    )


def estimate(found: Estimate | None) -> documents.Estimate | None:
    """A figure with count and interval, or None where nothing was measured."""
    return None if found is None else found.as_document()


def attack_figures(found: LossAttack | None) -> documents.LossAttack | None:
    """What the loss-based attack finds; None where there is nobody to compare with."""
    if found is None:
        return None
    return documents.LossAttack(
        area=found.area.as_document(),
        true_positives_at_1_percent=estimate(found.true_positives),
        unseen=found.unseen,
        unmatched=found.unmatched,
    )


def standing(found: Standing) -> documents.Standing:
    """How a network treats a cohort."""
    return documents.Standing(
        rule=found.rule,
        closeness=found.closeness,
        distance=found.distance,
        bound=found.bound,
        accepted=found.accepted,
        accuracy=estimate(found.accuracy),
        recognised=estimate(found.recognised),
        recognised_on=found.recognised_on,
        expected=found.expected,
        attack=attack_figures(found.attack),
        gap=found.gap and documents.GapAttack(**vars(found.gap)),
        by_gap=found.by_gap,
    )
