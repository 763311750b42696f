"""The adaptive rule against a sort in plain Python, and the scale that leads away from it."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.unlearning.dampening import Population, dampening_factors
from workers.unlearning.tuning import (
    Setting,
    adaptive_percentile,
    adaptive_selection,
    setting_at,
    step_of,
    stronger,
)


@pytest.mark.parametrize(
    ("forgotten", "percentile"),
    [(1, 100 - math.log(1 + 0.01)), (1000, 100 - math.log(11)), (5000, 100 - math.log(51))],
)
def test_the_percentile_falls_with_the_share_to_forget(forgotten: int, percentile: float) -> None:
    population = Population(total=10_000, forgotten=forgotten)
    assert adaptive_percentile(population) == pytest.approx(percentile)


@given(
    pairs=st.lists(
        st.tuples(st.floats(0, 100), st.sampled_from([0.0, 0.25, 0.5, 1.0])), max_size=60
    ),
    forgotten=st.integers(1, 99),
)
def test_selection_is_the_nearest_rank_percentile_of_the_finite_ratios(
    pairs: list[tuple[float, float]], forgotten: int
) -> None:
    population = Population(total=100, forgotten=forgotten)
    full = {
        "a": torch.tensor([f for f, _ in pairs[::2]], dtype=torch.float64),
        "b": torch.tensor([f for f, _ in pairs[1::2]], dtype=torch.float64),
    }
    forget = {
        "a": torch.tensor([f * s for f, s in pairs[::2]], dtype=torch.float64),
        "b": torch.tensor([f * s for f, s in pairs[1::2]], dtype=torch.float64),
    }
    assert adaptive_selection(full, forget, population) == pytest.approx(oracle(pairs, population))


def oracle(pairs: list[tuple[float, float]], population: Population) -> float:
    """Sort the ratios that have a divisor; take the one at the percentile's rank."""
    ratios = sorted(
        (f * s / population.forgotten) / ((f - f * s) / (population.total - population.forgotten))
        for f, s in pairs
        if f - f * s > 0 and (f - f * s) / (population.total - population.forgotten) > 0
    )
    if not ratios:
        return 0.0
    share = (100 - math.log(1 + 100 * population.forgotten / population.total)) / 100
    return ratios[max(math.ceil(share * len(ratios)), 1) - 1]


def test_weights_that_belong_to_the_forgotten_alone_do_not_count() -> None:
    full = {"w": torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)}
    forget = {"w": torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)}
    assert adaptive_selection(full, forget, Population(4, 2)) == pytest.approx(1.0)
    only = {"w": torch.ones(2, dtype=torch.float64)}
    assert adaptive_selection(only, only, Population(4, 2)) == 0.0


# The scale -------------------------------------------------------------------------------------


@given(
    ratios=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20),
    seed=st.one_of(st.just(0.0), st.floats(1e-3, 1e6)),
    steps=st.lists(st.floats(-12, 20), min_size=2, max_size=6),
    forgotten=st.integers(1, 99),
)
def test_no_factor_rises_along_the_scale(
    ratios: list[float], seed: float, steps: list[float], forgotten: int
) -> None:
    population = Population(total=100, forgotten=forgotten)
    forget = torch.tensor(ratios, dtype=torch.float64) * forgotten
    full = forget + (100 - forgotten)
    settings = [setting_at(seed, step) for step in sorted(steps)]
    factors = [
        dampening_factors(
            full, forget, population, selection=setting.selection, strength=setting.strength
        )
        for setting in settings
    ]
    for gentler, further in itertools.pairwise(factors):
        assert bool((further <= gentler).all())


@given(seed=st.floats(1e-3, 1e6), step=st.floats(-12, 20))
def test_a_step_divides_the_selection_and_below_one_the_strength_follows_it(
    seed: float, step: float
) -> None:
    setting = setting_at(seed, step)
    assert setting.selection == pytest.approx(seed / 1.5**step)
    assert setting.strength == (1.0 if setting.selection >= 1 else setting.selection)
    assert setting_at(seed, 0) == Setting(seed, min(1.0, seed))


def test_the_scale_is_continuous_where_the_strength_begins_to_fall() -> None:
    population = Population(total=100, forgotten=10)
    forget = torch.logspace(-3, 3, 200, dtype=torch.float64) * 10
    full = forget + 90

    def factors(step: float) -> Tensor:
        setting = setting_at(1.0, step)
        return dampening_factors(
            full, forget, population, selection=setting.selection, strength=setting.strength
        )

    for small in (1e-3, 1e-6):
        before, after = factors(-small), factors(small)
        assert float((before - after).abs().max()) <= 2 * small
    assert float(factors(0).min()) == pytest.approx(1e-3)


def test_where_no_weight_has_a_finite_ratio_the_scale_begins_at_one() -> None:
    assert setting_at(0.0, 0) == Setting(1.0, 1.0)
    assert setting_at(0.0, 2) == setting_at(1.0, 2)


@given(
    selection=st.floats(0.01, 1000),
    strength=st.floats(0.01, 10),
    steps=st.floats(0, 10),
    ratio=st.floats(1e-4, 1e4),
)
def test_a_stronger_setting_dampens_no_weight_less(
    selection: float, strength: float, steps: float, ratio: float
) -> None:
    def factor(setting: Setting) -> float:
        return min(1.0, setting.strength / ratio) if ratio > setting.selection else 1.0

    before = Setting(selection, strength)
    assert factor(stronger(before, steps)) <= factor(before)


@given(seed=st.floats(1e-3, 1e6), step=st.floats(-12, 12), steps=st.floats(0, 8))
def test_from_a_step_of_the_scale_a_stronger_setting_is_the_next(
    seed: float, step: float, steps: float
) -> None:
    found, expected = stronger(setting_at(seed, step), steps), setting_at(seed, step + steps)
    assert found.selection == pytest.approx(expected.selection)
    assert found.strength == pytest.approx(expected.strength)


def test_a_smaller_strength_stays_what_it_is_until_the_selection_is_below_it() -> None:
    assert stronger(Setting(2.0, 0.25), 1.0).strength == 0.25
    assert stronger(Setting(2.0, 0.25), 8.0).strength == stronger(Setting(2.0, 0.25), 8.0).selection


def test_a_setting_of_the_scale_has_its_own_step() -> None:
    for step in (-3.0, 0.0, 2.5, 9.0):
        assert step_of(setting_at(5.0, step), 5.0) == pytest.approx(step)
