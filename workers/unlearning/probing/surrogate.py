"""A surrogate for the network that was never taught the forgotten samples.

What such a network would make of them, and of unseen samples like them, is known once it has been
trained. This is a guess that takes a second: kernel ridge regression on the pixels of a miniature
of the training set, taught once all of it and once all but the forgotten samples. What the first
recognises and the second does not, is recognised thanks to the forgotten samples alone. Pixels,
because every layer of the network itself has been shaped by what it is to forget.

Forgotten samples are a *kind* if they can be told from the retained samples of their label, as the
sandals among the shoes; then unseen samples of the kind are what they are to be compared with.

A surrogate that is no match for the network on unseen samples does not speak for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from workers.unlearning.batches import Batch
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.membership import ranked_below
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.pictures import Kernel, Pictures, collect
from workers.unlearning.probing.probe import Probe

# Samples of the miniature, at most, and forgotten ones that it is asked about.
MOST = 1000
# Unseen samples that it is asked about, at most, and how many at once.
MOST_UNSEEN, AT_ONCE = 10_000, 2_000
# Of the regression. What is found hardly depends on it, from 0.01 to 0.1.
RIDGE = 0.1
# The chance that a forgotten sample can be told from a retained one of its label: of a kind.
KIND = 0.8
# With fewer on either side nothing is called a kind.
FEW = 20
# How far the surrogate's accuracy on unseen samples may be from the network's.
MATCH = 0.15

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What it makes of unseen and of forgotten samples, in the order of their positions.

    `positions` int64 [n]; `whole` bool [n], whether it is right when taught everything; `without`
    bool [n], the same when taught all but the forgotten samples. `kinds` has the unseen samples of
    the kind that a cohort is, of cohorts that are one. `accuracy` is its share of the holdout when
    taught everything, and `network_accuracy` that of the network it stands for.
    """

    positions: Positions
    whole: NDArray[np.bool_]
    without: NDArray[np.bool_]
    kinds: Mapping[Cohort, frozenset[int]]
    accuracy: float
    network_accuracy: float

    @property
    def is_match(self) -> bool:
        """Whether it may speak for the network."""
        return abs(self.network_accuracy - self.accuracy) <= MATCH

    def rows(self, positions: Positions) -> NDArray[np.int64]:
        """Where these are found; positions that it has not looked at are left out."""
        return np.flatnonzero(np.isin(self.positions, positions))


def make_surrogate(
    base: Observed,
    batches: Iterable[Batch],
    probe: Probe,
    trained: Mapping[int, int],
    forgotten: Mapping[int, int],
) -> Surrogate | None:
    """Teach one; None if there is nothing to ask it.

    `base` is what the base makes of the probe, whose samples `batches` holds. `trained` counts the
    training samples by label, and `forgotten` those of them that are forgotten.
    """
    partial = [cohort for cohort in probe.forgotten if not probe.gone.issuperset(cohort.labels)]
    holdout = base.at(probe.holdout)
    if not partial or not len(holdout):
        return None
    each = max(FEW, MOST // len(partial))
    kept, gone = _miniature(base, probe, trained, forgotten)
    asked = [_thinned(base.at(probe.forgotten[cohort]).positions, each) for cohort in partial]
    unseen = _thinned(base.at([*probe.holdout, *probe.unseen]).positions, MOST_UNSEEN)
    sides = {cohort: _sides(base, probe, cohort, each) for cohort in partial}
    others = [those for found in sides.values() if found is not None for those in found]
    pictures = collect(batches, np.concatenate([kept, gone, unseen, *asked, *others]))
    kernel = Kernel(pictures.pixels)
    whole, without = (
        _right(kernel, pictures, pictures.rows(taught))
        for taught in (np.concatenate([kept, gone]), kept)
    )
    rows = np.isin(pictures.positions, holdout.positions)
    return Surrogate(
        positions=pictures.positions,
        whole=whole,
        without=without,
        kinds={
            cohort: kin
            for cohort, found in sides.items()
            if found is not None
            and (kin := _kind(kernel, pictures, found, unseen, base.of(cohort.labels))) is not None
        },
        accuracy=float(whole[rows].mean()),
        network_accuracy=float(holdout.at(pictures.positions[rows].tolist()).right.mean()),
    )


def _miniature(
    base: Observed, probe: Probe, trained: Mapping[int, int], forgotten: Mapping[int, int]
) -> tuple[Positions, Positions]:
    """Positions of the retained and of the forgotten: the same share of each, label by label."""
    retained, dropped = base.at(probe.retained), base.at(_all(probe.forgotten))
    left = {label: count - forgotten.get(label, 0) for label, count in trained.items()}
    rate = min(1.0, MOST / sum(trained.values()), len(retained) / max(1, sum(left.values())))
    kept, gone = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for label in sorted(trained):
        kept.append(_thinned(retained.of([label]).positions, round(rate * left[label])))
        # Of some labels the probe may hold fewer than their share.
        mine = min(rate, len(retained.of([label])) / left[label]) if left[label] else rate
        wanted = round(mine * forgotten.get(label, 0))
        gone.append(_thinned(dropped.of([label]).positions, wanted))
    return np.concatenate(kept), np.concatenate(gone)


def _thinned(positions: Positions, most: int) -> Positions:
    """At most so many of them, evenly."""
    if len(positions) <= most:
        return positions
    return positions[np.linspace(0, len(positions), most, endpoint=False).astype(np.int64)]


def _all(forgotten: Mapping[Cohort, Sequence[int]]) -> list[int]:
    return [position for positions in forgotten.values() for position in positions]


def _right(kernel: Kernel, pictures: Pictures, taught: Tensor) -> NDArray[np.bool_]:
    """Of all pictures, whether a regression on the labels of those in `taught` is right."""
    if not len(taught):
        return np.zeros(len(pictures.positions), np.bool_)
    labels, targets = torch.unique(pictures.labels[taught], return_inverse=True)
    target = functional.one_hot(targets).double()
    mean = target.mean(dim=0)
    gram = kernel.between(taught, taught)
    gram.diagonal().add_(RIDGE)
    weights = torch.linalg.solve(gram, target - mean)
    said = [
        labels[(kernel.between(rows, taught) @ weights + mean).argmax(dim=1)]
        for rows in torch.split(torch.arange(len(pictures.positions)), AT_ONCE)
    ]
    return (torch.cat(said) == pictures.labels).numpy()


def _sides(
    base: Observed, probe: Probe, cohort: Cohort, most: int
) -> tuple[Positions, Positions] | None:
    """As many forgotten samples of a cohort as retained ones of its label; None of too few."""
    if cohort.scattered:
        # Its labels are mixed otherwise than those retained, which says nothing of the samples.
        return None
    members = base.at(probe.forgotten[cohort]).positions
    others = base.at(probe.retained).of(cohort.labels).positions
    count = min(len(members), len(others), most)
    if count < FEW or len(members) < len(probe.forgotten[cohort]):
        return None
    return _thinned(members, count), _thinned(others, count)


def _kind(
    kernel: Kernel,
    pictures: Pictures,
    sides: tuple[Positions, Positions],
    unseen: Positions,
    of_label: Observed,
) -> frozenset[int] | None:
    """Unseen samples of the kind that forgotten ones of a label are; None if they are none."""
    members, others = (pictures.rows(side) for side in sides)
    rows = torch.cat([members, others])
    targets = torch.cat([torch.ones(len(members)), -torch.ones(len(others))]).double()
    gram = kernel.between(rows, rows)
    gram.diagonal().add_(RIDGE)
    weights, judged = judged_by_others(gram, targets)
    if ranked_below(judged[len(members) :].numpy(), judged[: len(members)].numpy()) < KIND:
        return None
    candidates = pictures.rows(np.intersect1d(unseen, of_label.positions))
    alike = (kernel.between(candidates, rows) @ weights > 0).numpy()
    return frozenset(pictures.positions[candidates.numpy()[alike]].tolist())


def judged_by_others(gram: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of a kernel ridge regression, and what it would say of each sample without it.

    `gram` float64 [n, n] holds the ridge on its diagonal already, `targets` float64 [n]. A sample
    that is left out has its weight over the inverse's diagonal entry as its residual.
    """
    inverse = torch.linalg.inv(gram)
    weights = inverse @ targets
    return weights, targets - weights / inverse.diagonal()
