"""Whether a network still knows what it was to forget: the figures, cohort by cohort.

The target is to treat forgotten samples *like unseen data*. A label of which samples are retained
has unseen samples to compare with, and the loss-based attack must not tell the two apart, on either
side. Of a label that is forgotten whole, a network without it would recognise nothing but by
chance, so there the accuracy on unseen samples of the label is what counts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from workers.unlearning.batches import Batch
from workers.unlearning.cohorts import Cohort
from workers.unlearning.intervals import Estimate, Z
from workers.unlearning.membership import LossAttack, loss_attack
from workers.unlearning.observation import Observed

# A label that is forgotten whole may be recognised this much of what chance would recognise. A
# retrained network gives it to nobody; the rest of chance is left to the error of measuring.
OF_CHANCE = 0.2


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

    `distance` is how far the deciding figure lies beyond its target: positive on the familiar side,
    negative on the conspicuous one, 0 at the target, None where nothing can be said.
    """

    rule: Rule
    closeness: Closeness
    distance: float | None
    accuracy: Estimate | None
    attack: LossAttack | None
    # On unseen samples of the label, where it is forgotten whole.
    recognised: Estimate | None


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
        recognised = unseen.accuracy_estimate
        closeness, distance = _by_chance(recognised, probe.num_classes, min_probe)
        rule = Rule.CHANCE
    else:
        recognised = None
        closeness, distance = _like_unseen(attack, membership, min_probe, errors)
        rule = Rule.LIKE_UNSEEN
    return Standing(rule, closeness, distance, forgotten.accuracy_estimate, attack, recognised)


def _by_chance(
    recognised: Estimate | None, num_classes: int, min_probe: int
) -> tuple[Closeness, float | None]:
    if recognised is None or recognised.count < min_probe:
        return Closeness.UNDECIDABLE, None
    distance = max(0.0, recognised.value - OF_CHANCE / num_classes)
    return (Closeness.FAMILIAR if distance else Closeness.ALIKE), distance


def _like_unseen(
    attack: LossAttack | None, membership: float, min_probe: int, errors: float
) -> tuple[Closeness, float | None]:
    if attack is None or attack.unseen < min_probe:
        return Closeness.UNDECIDABLE, None
    beyond = abs(attack.advantage) - max(membership, errors * attack.area.error_towards(0.5))
    if beyond <= 0:
        return Closeness.ALIKE, 0.0
    if attack.advantage > 0:
        return Closeness.FAMILIAR, beyond
    return Closeness.CONSPICUOUS, -beyond


def zero_retrain_forgetting(
    network: nn.Module, reference: nn.Module, batches: Iterable[Batch]
) -> float | None:
    """ZRF (arXiv 2201.06640): 1 minus the mean Jensen-Shannon divergence from `reference`.

    `reference` is a network of the same architecture with random weights. The divergence is that of
    each sample's two predictions, in units of ln 2, so 1 means that they are the same; it is *not*
    divided by the number of classes, as it is where the mean is taken over elements. None of no
    samples.
    """
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            ours, theirs = (
                nn.functional.softmax(each(batch.inputs).double(), dim=1)
                for each in (network, reference)
            )
            middle = (ours + theirs) / 2
            divergence = (_relative_entropy(ours, middle) + _relative_entropy(theirs, middle)) / 2
            total += float(divergence.sum())
            count += len(batch)
    return 1 - total / count / math.log(2) if count else None


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
