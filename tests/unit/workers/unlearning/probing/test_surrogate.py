"""The surrogate, against slow regressions, on pictures whose kinds are known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.unlearning.batches import Batch
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.pictures import SIDE, collect
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.surrogate import (
    FEW,
    KIND,
    RIDGE,
    Surrogate,
    judged_by_others,
    make_surrogate,
)

SIZE = 8
# Label 0 has two kinds. Of all that is left, the first of them looks most like label 1.
SANDAL, BOOT, SHIRT = range(3)
LABEL = {SANDAL: 0, BOOT: 0, SHIRT: 1}
EACH = 60
COHORT = Cohort((0,), EACH, scattered=False)


def picture(kind: int, noise: Tensor) -> Tensor:
    """A dark half, which half depends on the kind, and noise."""
    image = torch.zeros(1, SIZE, SIZE)
    if kind == BOOT:
        image[:, :, : SIZE // 2] = 1.0
    else:
        image[:, : SIZE // 2, :] = 1.0
        if kind == SANDAL:
            image[:, 0, :] = -1.0
    return image + noise


@dataclass
class World:
    """Samples in order of their positions; the base is right about all of them."""

    kinds: list[int]
    samples: Batch
    base: Observed
    probe: Probe

    def surrogate(self, **changed: object) -> Surrogate | None:
        trained = {0: 2 * EACH, 1: EACH}
        given = {"trained": trained, "forgotten": {0: len(self.probe.forgotten[COHORT])}} | changed
        parts = [self.samples.part(start, start + 50) for start in range(0, 400, 50)]
        return make_surrogate(self.base, parts, self.probe, **given)  # type: ignore[arg-type]

    def right(self, values: np.ndarray, kind: int, positions: np.ndarray) -> float:
        chosen = np.array([self.kinds[p] == kind and p >= 3 * EACH for p in positions])
        return float(values[chosen].mean())


def world(forgotten: list[int] | None = None, noise: float = 0.2) -> World:
    """As many training samples of each kind, then as many unseen ones, of which all are holdout."""
    kinds = [kind for _ in range(2) for kind in (SANDAL, BOOT, SHIRT) for _ in range(EACH)]
    generator = torch.Generator().manual_seed(0)
    spots = noise * torch.randn(len(kinds), 1, SIZE, SIZE, generator=generator)
    images = torch.stack([picture(*each) for each in zip(kinds, spots, strict=True)])
    labels = torch.tensor([LABEL[kind] for kind in kinds])
    samples = Batch.of(images, labels)
    nothing = np.zeros(len(kinds))
    base = Observed(
        samples.positions.numpy(), labels.numpy(), nothing, np.ones(len(kinds), np.bool_), nothing
    )
    gone = list(range(EACH)) if forgotten is None else forgotten
    unseen = list(range(3 * EACH, 6 * EACH))
    probe = Probe(
        forgotten={COHORT: gone},
        unseen=[position for position in unseen if labels[position] == 0],
        retained=[position for position in range(3 * EACH) if position not in gone],
        holdout=unseen,
        gone=frozenset(),
        num_classes=2,
    )
    return World(kinds, samples, base, probe)


def test_a_kind_is_found_and_what_is_known_thanks_to_it_alone() -> None:
    shoes = world()
    surrogate = shoes.surrogate()
    assert surrogate is not None
    for kind, whole, without in ((SANDAL, 1.0, 0.0), (BOOT, 1.0, 1.0), (SHIRT, 1.0, 1.0)):
        assert shoes.right(surrogate.whole, kind, surrogate.positions) == whole
        assert shoes.right(surrogate.without, kind, surrogate.positions) == without
    sandals = {p for p in range(3 * EACH, 6 * EACH) if shoes.kinds[p] == SANDAL}
    assert surrogate.kinds == {COHORT: sandals}


def test_samples_of_all_kinds_are_no_kind_and_nothing_hangs_on_them() -> None:
    shoes = world(forgotten=list(range(0, 2 * EACH, 3)))
    surrogate = shoes.surrogate()
    assert surrogate is not None
    assert not surrogate.kinds
    assert (surrogate.whole == surrogate.without).mean() > 0.99


def test_a_handful_of_a_large_training_set_is_none_of_its_miniature() -> None:
    # Of a hundred thousand samples the miniature has a thousandth part.
    shoes = world(forgotten=list(range(0, 2 * EACH, 3)))
    surrogate = shoes.surrogate(trained={0: 60_000, 1: 40_000}, forgotten={0: 40})
    assert surrogate is not None
    assert (surrogate.whole == surrogate.without).all()


def test_what_stays_of_a_label_may_be_none_of_the_miniature_though_what_goes_is() -> None:
    shoes = world(forgotten=[position for position in range(2 * EACH) if position % 60])
    surrogate = shoes.surrogate(trained={0: 4000, 1: 3000}, forgotten={0: 3980})
    assert surrogate is not None
    for kind in (SANDAL, BOOT):
        assert shoes.right(surrogate.whole, kind, surrogate.positions) > 0.9
        assert shoes.right(surrogate.without, kind, surrogate.positions) == 0.0


def test_predictions_are_those_of_a_slow_regression() -> None:
    shoes = world()
    surrogate = shoes.surrogate()
    assert surrogate is not None
    pixels = shoes.samples.inputs.double().flatten(1).numpy()
    scale = shoes.samples.inputs.flatten(1).var().item() * SIZE * SIZE
    for found, taught in (
        (surrogate.whole, range(3 * EACH)),
        (surrogate.without, range(EACH, 3 * EACH)),
    ):
        rows = list(taught)
        gram = np.empty((len(rows), len(rows)))
        for i, first in enumerate(rows):
            for j, second in enumerate(rows):
                distance = ((pixels[first] - pixels[second]) ** 2).sum()
                gram[i, j] = np.exp(-distance / scale) + (RIDGE if i == j else 0.0)
        targets = np.array([[LABEL[shoes.kinds[row]] == label for label in (0, 1)] for row in rows])
        mean = targets.mean(axis=0)
        weights = np.linalg.solve(gram, targets - mean)
        for position, right in zip(surrogate.positions, found, strict=True):
            distances = ((pixels[rows] - pixels[position]) ** 2).sum(axis=1)
            said = int((np.exp(-distances / scale) @ weights + mean).argmax())
            assert right == (said == LABEL[shoes.kinds[position]])


@given(count=st.integers(2, 12), seed=st.integers(0, 99))
def test_judging_by_the_others_is_leaving_each_one_out(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    gram = torch.exp(-torch.cdist(points, points).square())
    gram.diagonal().add_(torch.rand(count, generator=generator, dtype=torch.float64) + 0.01)
    targets = torch.randn(count, generator=generator, dtype=torch.float64)
    weights, judged = judged_by_others(gram, targets)
    assert torch.allclose(gram @ weights, targets)
    for left_out in range(count):
        others = [row for row in range(count) if row != left_out]
        theirs = torch.linalg.solve(gram[others][:, others], targets[others])
        assert torch.isclose(judged[left_out], gram[left_out, others] @ theirs)


def test_there_is_none_where_nothing_hangs_on_it() -> None:
    shoes = world()
    # A label that is gone whole, and no unseen samples to hold the surrogate against.
    for probe in (replace(shoes.probe, gone=frozenset([0])), replace(shoes.probe, holdout=[])):
        assert replace(shoes, probe=probe).surrogate() is None


@pytest.mark.parametrize(("every", "is_match"), [(5, False), (6, False), (7, True), (50, True)])
def test_one_that_is_no_match_for_the_network_says_so(every: int, is_match: bool) -> None:
    shoes = world()
    right = np.arange(len(shoes.kinds)) % every > 0
    surrogate = replace(shoes, base=replace(shoes.base, right=right)).surrogate()
    assert surrogate is not None
    assert surrogate.accuracy == 1.0
    assert surrogate.network_accuracy == pytest.approx(1 - 1 / every, abs=0.01)
    assert surrogate.is_match is is_match


@pytest.mark.parametrize("others", [EACH // 3, EACH // 2, EACH])
def test_both_sides_of_a_kind_weigh_as_much_however_many_are_retained(others: int) -> None:
    shoes = world()
    boots = shoes.probe.retained[:others]
    rest = [p for p in shoes.probe.retained if shoes.kinds[p] == SHIRT]
    surrogate = replace(shoes, probe=replace(shoes.probe, retained=[*boots, *rest])).surrogate()
    assert surrogate is not None
    sandals = {p for p in range(3 * EACH, 6 * EACH) if shoes.kinds[p] == SANDAL}
    assert surrogate.kinds == {COHORT: sandals}


@pytest.mark.parametrize(("noise", "is_kind"), [(3.5, True), (4.6, False)])
def test_of_a_kind_are_those_that_a_slow_regression_on_as_many_of_both_puts_on_its_side(
    noise: float, is_kind: bool
) -> None:
    shoes = world(noise=noise)
    boots = shoes.probe.retained[: EACH // 2]
    shirts = [p for p in shoes.probe.retained if shoes.kinds[p] == SHIRT]
    surrogate = replace(shoes, probe=replace(shoes.probe, retained=[*boots, *shirts])).surrogate()
    assert surrogate is not None
    pixels = shoes.samples.inputs.double().flatten(1).numpy()
    looked_at = [*range(EACH), *boots, *shirts, *range(3 * EACH, 6 * EACH)]
    scale = pixels[looked_at].var() * SIZE * SIZE

    def near(rows: Sequence[int], others: Sequence[int]) -> np.ndarray:
        distances = ((pixels[rows][:, None] - pixels[others][None]) ** 2).sum(axis=2)
        similar: np.ndarray = np.exp(-distances / scale)
        return similar

    sides = [*range(0, EACH, 2), *boots]
    half = EACH // 2
    targets = np.repeat([1.0, -1.0], half)

    def says(of: Sequence[int], taught: np.ndarray) -> np.ndarray:
        rows = [sides[row] for row in taught]
        gram = near(rows, rows) + RIDGE * np.eye(len(rows))
        return near(of, rows) @ np.linalg.solve(gram, targets[taught])

    all_of_them = np.arange(len(sides))
    alone = [says([sides[row]], all_of_them[all_of_them != row])[0] for row in all_of_them]
    told = np.mean([a > b for a in alone[:half] for b in alone[half:]])
    assert (told >= KIND) == is_kind
    assert abs(told - KIND) < 0.1
    unseen = shoes.probe.unseen
    alike = {p for p, said in zip(unseen, says(unseen, all_of_them), strict=True) if said > 0}
    assert surrogate.kinds == ({COHORT: alike} if is_kind else {})


def test_of_a_cohort_that_cannot_all_be_looked_at_nothing_is_called_a_kind() -> None:
    shoes = world()
    seen = replace(shoes, base=shoes.base.where(shoes.base.positions > 0))
    surrogate = seen.surrogate()
    assert surrogate is not None
    assert not surrogate.kinds


@pytest.mark.parametrize(
    "cohort", [Cohort((0,), EACH, scattered=True), Cohort((0,), FEW - 1, scattered=False)]
)
def test_of_scattered_samples_and_of_a_few_nothing_is_called_a_kind(cohort: Cohort) -> None:
    shoes = world()
    forgotten = {cohort: list(range(cohort.count))}
    probe = replace(shoes.probe, forgotten=forgotten)
    surrogate = make_surrogate(
        shoes.base, [shoes.samples], probe, {0: 2 * EACH, 1: EACH}, {0: cohort.count}
    )
    assert surrogate is not None
    assert not surrogate.kinds


def test_large_pictures_are_shrunk_and_small_ones_are_not() -> None:
    shoes = world()
    # Every pixel sixty-four times over: shrunk, they are what they were.
    large = shoes.samples.inputs.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    grown = replace(shoes, samples=replace(shoes.samples, inputs=large))
    wanted = shoes.base.positions[::7]
    small, shrunk = (collect([each.samples], wanted).pixels for each in (shoes, grown))
    assert small.shape == (len(wanted), SIZE * SIZE)
    assert shrunk.shape == (len(wanted), SIDE * SIDE)
    assert torch.allclose(shrunk[:, :: SIDE // SIZE][:, :SIZE], small[:, :SIZE])
