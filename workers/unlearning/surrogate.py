"""A surrogate for the network that was never taught the forgotten samples.

What such a network would make of them, and of unseen samples like them, is known once it has been
trained. This is a guess that takes a second: kernel ridge regression on the pixels of a miniature
of the training set, taught once all of it and once all but the forgotten samples. What the first
recognises and the second does not, is recognised thanks to the forgotten samples alone. Pixels,
because every layer of the network itself has been shaped by what it is to forget.

Forgotten samples are a *kind* if they can be told from the retained samples of their label, as the
sandals among the shoes; then unseen samples of the kind are what they are to be compared with.

A surrogate that is no match for the network on unseen samples is not asked.
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
from workers.unlearning.membership import ranked_below
from workers.unlearning.observation import Observed
from workers.unlearning.pictures import Kernel, Pictures, collect
from workers.unlearning.probe import Probe

# Samples of the miniature, at most, and forgotten ones that it is asked about.
MOST = 1000
# Unseen samples that it is asked about, at most, and how many at once.
MOST_UNSEEN, AT_ONCE = 10_000, 2_000
# Of the regression. What is found hardly depends on it, from 0.01 to 0.1.
RIDGE = 0.01
# The chance that a forgotten sample can be told from a retained one of its label: of a kind.
KIND = 0.8
# With fewer on either side nothing is called a kind.
FEW = 20
# How far the surrogate's accuracy on unseen samples may be from the network's.
MATCH = 0.1


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What it makes of unseen and of forgotten samples, in the order of their positions.

    `positions` int64 [n]; `whole` bool [n], whether it is right when taught everything; `without`
    bool [n], the same when taught all but the forgotten samples. `kinds` has the unseen samples of
    the kind that a cohort is, of cohorts that are one.
    """

    positions: NDArray[np.int64]
    whole: NDArray[np.bool_]
    without: NDArray[np.bool_]
    kinds: Mapping[Cohort, frozenset[int]]

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these are found; positions that it has not looked at are left out."""
        return np.flatnonzero(np.isin(self.positions, positions))


def make_surrogate(
    base: Observed,
    batches: Iterable[Batch],
    probe: Probe,
    trained: Mapping[int, int],
    forgotten: Mapping[int, int],
) -> Surrogate | None:
    """Teach one; None if there is nothing to ask it, or if it is no match for the base.

    `base` is what the base makes of the probe, whose samples `batches` holds. `trained` counts the
    training samples by label, and `forgotten` those of them that are forgotten.
    """
    partial = [cohort for cohort in probe.forgotten if not probe.gone.issuperset(cohort.labels)]
    if not partial or not len(base.at(probe.holdout)):
        return None
    kept, gone = _miniature(base, probe, trained, forgotten)
    asked = _asked(base, probe, partial)
    retained = base.at(probe.retained).positions
    pictures = collect(batches, np.concatenate([kept, gone, asked, retained]))
    kernel = Kernel(pictures.pixels)
    whole, without = (
        _right(kernel, pictures, pictures.rows(taught))
        for taught in (np.concatenate([kept, gone]), kept)
    )
    surrogate = Surrogate(
        pictures.positions,
        whole,
        without,
        {
            cohort: kin
            for cohort in partial
            if (kin := _kind(kernel, pictures, cohort, base, probe)) is not None
        },
    )
    return surrogate if _matches(surrogate, base.at(probe.holdout)) else None


def _matches(surrogate: Surrogate, holdout: Observed) -> bool:
    rows = surrogate.rows(holdout.positions)
    theirs = holdout.at(surrogate.positions[rows].tolist()).accuracy
    return theirs is not None and abs(float(surrogate.whole[rows].mean()) - theirs) <= MATCH


def _miniature(
    base: Observed, probe: Probe, trained: Mapping[int, int], forgotten: Mapping[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the retained and of the forgotten: the same share of each, label by label."""
    retained, dropped = base.at(probe.retained), base.at(_all(probe.forgotten))
    total = sum(trained.values())
    left = {label: count - forgotten.get(label, 0) for label, count in trained.items()}
    rate = min(1.0, MOST / total, len(retained) / max(1, sum(left.values())))

    def drawn(among: Observed, counts: Mapping[int, int]) -> NDArray[np.int64]:
        return np.concatenate(
            [
                np.empty(0, np.int64),
                *(
                    _thinned(among.of([label]).positions, round(rate * count))
                    for label, count in sorted(counts.items())
                ),
            ]
        )

    return drawn(retained, left), drawn(dropped, forgotten)


def _asked(base: Observed, probe: Probe, partial: Sequence[Cohort]) -> NDArray[np.int64]:
    """Positions of what the surrogate is asked about: unseen samples, and of every cohort."""
    each = max(FEW, MOST // len(partial))
    return np.concatenate(
        [
            _thinned(base.at([*probe.holdout, *probe.unseen]).positions, MOST_UNSEEN),
            *(_thinned(base.at(probe.forgotten[cohort]).positions, each) for cohort in partial),
        ]
    )


def _thinned(positions: NDArray[np.int64], most: int) -> NDArray[np.int64]:
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


def _kind(
    kernel: Kernel, pictures: Pictures, cohort: Cohort, base: Observed, probe: Probe
) -> frozenset[int] | None:
    """Unseen samples of the kind that the cohort's forgotten ones are; None if they are none.

    Both sides weigh as much, however many each has.
    """
    if cohort.scattered:
        # Its labels are mixed otherwise than those retained, which says nothing of the samples.
        return None
    members = pictures.rows(base.at(probe.forgotten[cohort]).positions)
    others = pictures.rows(base.at(probe.retained).of(cohort.labels).positions)
    if min(len(members), len(others)) < FEW:
        return None
    rows = torch.cat([members, others])
    sides = torch.cat([torch.ones(len(members)), -torch.ones(len(others))]).double()
    share = torch.where(sides > 0, len(members), len(others)) / len(rows)
    gram = kernel.between(rows, rows)
    gram.diagonal().add_(2 * RIDGE * share)
    weights, judged = judged_by_others(gram, sides)
    if ranked_below(judged[len(members) :].numpy(), judged[: len(members)].numpy()) < KIND:
        return None
    either = base.at([*probe.unseen, *probe.holdout]).of(cohort.labels).positions
    unseen = pictures.rows(either)
    alike = (kernel.between(unseen, rows) @ weights > 0).numpy()
    return frozenset(pictures.positions[unseen.numpy()[alike]].tolist())


def judged_by_others(gram: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of a kernel ridge regression, and what it would say of each sample without it.

    `gram` float64 [n, n] holds the ridge on its diagonal already, `targets` float64 [n]. A sample
    that is left out has its weight over the inverse's diagonal entry as its residual.
    """
    inverse = torch.linalg.inv(gram)
    weights = inverse @ targets
    return weights, targets - weights / inverse.diagonal()
