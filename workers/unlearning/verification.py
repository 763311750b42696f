"""Whether a network still knows what it was to forget: the figures, cohort by cohort.

The target is to treat forgotten samples *like unseen data*. A label of which samples are retained
has unseen samples to compare with, and the loss-based attack must not tell the two apart, on either
side. Of a label that is forgotten whole, a network without it would recognise nothing but by
chance, so there the accuracy on unseen samples of the label is what counts; or, where there are too
few of these, on the forgotten ones, which such a network would not have seen either.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import torch
from torch import Tensor, nn

from workers.unlearning.batches import Batch
from workers.unlearning.cohorts import Cohort
from workers.unlearning.intervals import Estimate, Z, mean
from workers.unlearning.membership import LossAttack, loss_attack
from workers.unlearning.observation import Observed

# Of a label that is forgotten whole, this much of what chance would recognise is aimed at: a
# retrained network recognises nobody. Up to chance itself is accepted, where no more can be had.
OF_CHANCE = 0.2
# Shares are no exact binary fractions: 0.52 − 0.5 must not be more than 0.02.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Probe:
    """Which samples candidates are judged on, by position: the same ones for every candidate.

    `forgotten` are samples of each cohort, from this run and from earlier ones; `unseen` holdout
    samples of the labels that are forgotten, in part or whole; `retained` training samples that
    stay; `holdout` samples of all labels. `gone` are the labels of which nothing is retained.
    """

    forgotten: Mapping[Cohort, Sequence[int]]
    unseen: Sequence[int]
    retained: Sequence[int]
    holdout: Sequence[int]
    gone: frozenset[int]
    num_classes: int


Reference = Literal["unseen", "forgotten"]


class Rule(StrEnum):
    """What a cohort is held against."""

    LIKE_UNSEEN = "like_unseen"
    CHANCE = "chance"


class Closeness(StrEnum):
    """How a cohort stands to its target."""

    FAMILIAR = "familiar"
    ALIKE = "alike"
    CONSPICUOUS = "conspicuous"
    UNDECIDABLE = "undecidable"


@dataclass(frozen=True)
class Standing:
    """How one network treats one cohort.

    `bound` is the share recognised, or the attack's distance from 0.5, that counts as none.
    `distance` is how far the deciding figure lies beyond it: positive on the familiar side,
    negative on the conspicuous one, 0 within; both None where nothing can be said.
    """

    rule: Rule
    closeness: Closeness
    distance: float | None
    bound: float | None
    # Whether it may be called forgotten: alike, or recognised no more than by chance.
    accepted: bool
    accuracy: Estimate | None
    attack: LossAttack | None
    # Where the label is forgotten whole: on unseen samples of it, or on forgotten ones.
    recognised: Estimate | None
    recognised_on: Reference | None


def standing_of(
    cohort: Cohort,
    observed: Observed,
    probe: Probe,
    *,
    membership: float,
    min_probe: int,
    errors: float = Z,
) -> Standing:
    """Compare a cohort with its target.

    `membership` is the distance of the attack's area from 0.5 that counts as none, and so does one
    of less than `errors` standard errors; a rule needs `min_probe` unseen samples to decide by.
    """
    forgotten = observed.at(probe.forgotten[cohort])
    unseen = observed.at(probe.unseen).of(cohort.labels)
    attack = loss_attack(forgotten, unseen)
    if probe.gone.issuperset(cohort.labels):
        on: Reference | None = "unseen" if len(unseen) >= min_probe else "forgotten"
        recognised = (unseen if on == "unseen" else forgotten).accuracy_estimate
        reading = _by_chance(recognised, probe.num_classes, min_probe)
        rule = Rule.CHANCE
    else:
        recognised, on = None, None
        reading = _like_unseen(attack, membership, min_probe, errors)
        rule = Rule.LIKE_UNSEEN
    return Standing(rule, *reading, forgotten.accuracy_estimate, attack, recognised, on)


# Closeness, distance, bound, and whether that is accepted.
_Reading = tuple[Closeness, float | None, float | None, bool]
_NOTHING = (Closeness.UNDECIDABLE, None, None, False)


def _by_chance(recognised: Estimate | None, num_classes: int, min_probe: int) -> _Reading:
    if recognised is None or recognised.count < min_probe:
        return _NOTHING
    bound = OF_CHANCE / num_classes
    beyond = recognised.value - bound
    if beyond <= ROUNDING:
        return Closeness.ALIKE, 0.0, bound, True
    return Closeness.FAMILIAR, beyond, bound, recognised.value <= 1 / num_classes + ROUNDING


def _like_unseen(
    attack: LossAttack | None, membership: float, min_probe: int, errors: float
) -> _Reading:
    if attack is None or attack.unseen < min_probe:
        return _NOTHING
    bound = max(membership, errors * attack.area.error_towards(0.5))
    beyond = abs(attack.advantage) - bound
    if beyond <= ROUNDING:
        return Closeness.ALIKE, 0.0, bound, True
    if attack.advantage > 0:
        return Closeness.FAMILIAR, beyond, bound, False
    return Closeness.CONSPICUOUS, -beyond, bound, False


def zero_retrain_forgetting(
    network: nn.Module, reference: nn.Module, batches: Iterable[Batch]
) -> Estimate | None:
    """ZRF (arXiv 2201.06640): 1 minus the mean Jensen-Shannon divergence from `reference`.

    `reference` is a network of the same architecture with random weights. The divergence is that of
    each sample's two predictions, in units of ln 2, so 1 means that they are the same; it is *not*
    divided by the number of classes, as it is where the mean is taken over elements. None of no
    samples; not a number where predictions are none.
    """
    divergences = [torch.empty(0, dtype=torch.float64)]
    with torch.no_grad():
        for batch in batches:
            ours, theirs = (
                nn.functional.softmax(each(batch.inputs).double(), dim=1)
                for each in (network, reference)
            )
            middle = (ours + theirs) / 2
            divergence = (_relative_entropy(ours, middle) + _relative_entropy(theirs, middle)) / 2
            divergences.append(divergence.cpu())
    return mean(1 - torch.cat(divergences).numpy() / math.log(2))


def _relative_entropy(of: Tensor, to: Tensor) -> Tensor:
    parts: Tensor = torch.special.xlogy(of, of) - torch.special.xlogy(of, to)
    return parts.sum(dim=1)


def change_of_weights(
    base: Mapping[str, Tensor], weights: Mapping[str, Tensor], names: Iterable[str]
) -> dict[str, tuple[int, float]]:
    """Of each named tensor: how many entries differ, and the Euclidean norm of the difference."""
    changes = {}
    for name in names:
        difference = weights[name].double() - base[name].double()
        changes[name] = (int(torch.count_nonzero(difference)), float(difference.norm()))
    return changes
