"""What a candidate costs may be too much; chance, rises and what is gone do not count."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.observations import seen
from tests.unit.workers.unlearning.probes import ALL_RIGHT, Right, judged, network, probe_of
from workers.unlearning.gate import Gate
from workers.unlearning.gating.damage import Fall, Falls, falls
from workers.unlearning.probing.probe import Probe


@given(st.integers(1, 5000), st.data(), st.integers(0, 100))
def test_a_fall_is_too_far_beyond_the_bound_and_beyond_one_sample(
    count: int, data: st.DataObject, percent: int
) -> None:
    before = data.draw(st.integers(0, count))
    after = data.draw(st.integers(max(0, before - count // 4 - 2), count))
    lost, gained = max(0, before - after), max(0, after - before)
    fall = Fall(before / count, after / count, count, lost, gained)
    points = Fraction(before - after, count)
    assert fall.points == pytest.approx(float(points))
    assert fall.over(percent / 100) == (points > Fraction(percent, 100) and before - after > 1)


@pytest.mark.parametrize(("lost", "too_far"), [(0, False), (8, False), (9, True)])
def test_the_retained_probe_may_fall_as_far_as_the_policy_says(lost: int, too_far: bool) -> None:
    judgement = judged(network(), network(retained={1: (200 - lost, 200), 2: (200, 200)}))
    assert bool(judgement.damage) == too_far
    assert not judgement.shortfalls
    if too_far:
        (said,) = judgement.damage
        assert "the retained probe (400 samples) would be 2.2 points below" in said
        assert "97.8 % instead of 100.0 %. The policy allows 2.0" in said


@pytest.mark.parametrize(("lost", "too_far"), [(20, False), (21, True)])
def test_a_single_label_may_fall_further(lost: int, too_far: bool) -> None:
    bounds = replace(BOUNDS, retained_fall=1.0)
    damage = judged(network(), network(retained={1: (200 - lost, 200), 2: (200, 200)}), bounds)
    assert bool(damage.damage) == too_far
    assert all("label 1" in said for said in damage.damage)


@pytest.mark.parametrize(("left", "too_far"), [(25, False), (23, False), (22, True), (0, True)])
def test_of_a_label_with_few_samples_only_what_is_no_chance_is_damage(
    left: int, too_far: bool
) -> None:
    bounds = replace(BOUNDS, retained_fall=1.0)
    base: Right = {1: (29, 29), 2: (200, 200), 3: (200, 200)}
    few: Right = {**base, 1: (left, 29)}
    damage = judged(network(retained=base), network(retained=few), bounds).damage
    assert bool(damage) == too_far
    # It does not hide how others do.
    both: Right = {**base, 1: (25, 29), 2: (179, 200), 3: (170, 200)}
    (said,) = judged(network(retained=base), network(retained=both), bounds).damage
    assert "label 3" in said


@pytest.mark.parametrize(("left", "too_far"), [(10, False), (5, False), (4, True), (0, True)])
def test_of_a_hundred_labels_with_ten_samples_each_one_that_is_lost_is_seen(
    left: int, too_far: bool
) -> None:
    whole = {label: Fall(1.0, 1.0, 10, lost=0, gained=0) for label in range(100)}
    one = Fall(1.0, left / 10, 10, lost=10 - left, gained=0)
    damage = Falls(None, {**whole, 7: one}, None).reasons(BOUNDS.falls)
    assert bool(damage) == too_far
    assert all("label 7 (10 samples)" in said for said in damage)


@given(st.integers(1, 500), st.data(), st.integers(0, 100), st.integers(1, 1000))
def test_what_is_surely_too_far_is_too_far_and_more_surely_among_fewer(
    count: int, data: st.DataObject, percent: int, among: int
) -> None:
    lost = data.draw(st.integers(0, count))
    gained = data.draw(st.integers(0, count - lost))
    after = data.draw(st.integers(gained, count - lost))
    fall = Fall((after + lost - gained) / count, after / count, count, lost, gained)
    bound = percent / 100
    assert fall.estimate.low <= fall.points + 1e-12
    assert fall.points <= fall.estimate.high + 1e-12
    if fall.surely_over(bound, among=among):
        assert fall.over(bound)
        assert fall.surely_over(bound, among=1)


@pytest.mark.parametrize(("labels", "count"), [(100, 10), (50, 20), (34, 29), (10, 29)])
@pytest.mark.parametrize(("right", "lost", "gained"), [(1.0, 0.1, 0.0), (0.9, 0.1, 0.1)])
def test_chance_alone_is_surely_too_far_for_one_label_in_few_runs(
    labels: int, count: int, right: float, lost: float, gained: float
) -> None:
    rng = np.random.default_rng(0)
    before = rng.random((400, labels, count)) < right
    changes = rng.random(before.shape)
    losses = (before & (changes < lost)).sum(axis=2)
    gains = (~before & (changes < gained)).sum(axis=2)

    @cache
    def is_alarm(right: int, lost: int, gained: int) -> bool:
        fall = Fall(right / count, (right - lost + gained) / count, count, lost, gained)
        return fall.surely_over(0.1, among=labels)

    found = np.vectorize(is_alarm, otypes=[bool])(before.sum(axis=2), losses, gains)
    assert found.any(axis=1).mean() <= 0.05


@pytest.mark.parametrize(("labels", "each", "told"), [(100, 10, True), (300, 3, False)])
def test_labels_that_could_be_lost_without_being_noticed_are_known(
    labels: int, each: int, told: bool
) -> None:
    large = {labels: Fall(1.0, 1.0, 200, lost=0, gained=0)}
    whole = {label: Fall(1.0, 1.0, each, lost=0, gained=0) for label in range(labels)} | large
    untold = Falls(None, whole, None).untold(BOUNDS.falls)
    assert untold == (set() if told else set(range(labels)))
    # And so it is: one of them is lost, and nothing is said.
    lost = {7: Fall(1.0, 0.0, each, lost=each, gained=0)}
    assert bool(Falls(None, whole | lost, None).reasons(BOUNDS.falls)) == told


@pytest.mark.parametrize(("labels", "count"), [(34, 29), (50, 20), (100, 10), (200, 5), (300, 3)])
def test_the_least_fall_of_one_label_that_is_told_is_the_first_that_is_too_far(
    labels: int, count: int
) -> None:
    whole = {label: Fall(1.0, 1.0, count, lost=0, gained=0) for label in range(labels)}
    large = {labels: Fall(1.0, 1.0, 200, lost=0, gained=0)}
    found = Falls(None, whole | large, None).least_told(BOUNDS.falls)
    told = [
        lost / count
        for lost in range(1, count + 1)
        if Falls(
            None, whole | large | {7: Fall(1.0, 1 - lost / count, count, lost, gained=0)}, None
        ).reasons(BOUNDS.falls)
    ]
    assert found == ({label: pytest.approx(told[0]) for label in whole} if told else {})


def test_a_label_with_few_samples_may_rise() -> None:
    rise = Fall(0.2, 0.9, 10, lost=1, gained=8)
    assert not Falls(None, {7: rise}, None).reasons(BOUNDS.falls)


def test_one_sample_of_a_label_tells_nothing_of_it() -> None:
    assert not Falls(None, {7: Fall(1.0, 0.0, 1, 1, 0)}, None).reasons(BOUNDS.falls)


def test_one_sample_of_a_small_label_does_not_hide_two_per_cent_of_a_large_one() -> None:
    bounds = replace(BOUNDS, retained_fall=1.0, class_fall=0.01)
    base: Right = {1: (40, 40), 2: (200, 200)}
    after: Right = {1: (39, 40), 2: (196, 200)}
    (said,) = judged(network(retained=base), network(retained=after), bounds).damage
    assert "label 2" in said


@pytest.mark.parametrize(("lost", "too_far"), [(4, False), (5, True)])
def test_unseen_samples_may_fall_as_far_as_the_damage_budget(lost: int, too_far: bool) -> None:
    judgement = judged(network(), network(holdout={1: (200 - lost, 200), 2: (200, 200)}))
    assert bool(judgement.damage) == too_far


def test_unseen_samples_of_labels_that_are_gone_cost_nothing() -> None:
    base = network(holdout={0: (50, 50), 1: (200, 200)})
    after = network(holdout={0: (0, 50), 1: (200, 200)})
    assert Gate(base, probe_of(base), BOUNDS).judge(after).damage
    probe = probe_of(base, gone=frozenset([0]))
    assert not Gate(base, probe, BOUNDS).judge(after).damage
    assert falls(base, after, probe).holdout == Fall(1.0, 1.0, 200, lost=0, gained=0)


def test_the_few_that_stay_of_labels_that_are_gone_hold_nothing_up() -> None:
    base = network(retained={0: (30, 30), 1: (30, 30), 2: (940, 940)})
    after = network(retained={0: (0, 30), 1: (0, 30), 2: (940, 940)})
    assert len(Gate(base, probe_of(base), BOUNDS).judge(after).damage) == 2
    gone = probe_of(base, gone=frozenset([0, 1]))
    judgement = Gate(base, gone, BOUNDS).judge(after)
    assert judgement.spares
    assert not judgement.damage
    assert judgement.falls.by_label.keys() == {2}
    assert judgement.falls.retained == Fall(1.0, 1.0, 940, lost=0, gained=0)


def test_falls_are_of_samples_that_both_networks_have_seen() -> None:
    base = network(retained={1: (150, 200), 2: (200, 200)})
    after = network(retained={1: (190, 200), 2: (170, 200)})
    found = falls(base, after, probe_of(base)).retained
    assert found == Fall(0.875, 0.9, 400, lost=30, gained=40)
    assert found.estimate.value == pytest.approx(-0.025)
    # As if images had been deleted between the two looks.
    fewer = after.where(after.positions % 7 > 0)
    assert len(fewer) < len(after)
    partly = falls(base, fewer, probe_of(base))
    assert partly == falls(base.where(base.positions % 7 > 0), fewer, probe_of(base))
    assert partly.retained is not None
    assert partly.retained.count < 400


def test_a_rise_is_no_damage() -> None:
    base = network(retained={1: (100, 200), 2: (100, 200)}, holdout={1: (10, 200)})
    judgement = judged(base, network(retained=ALL_RIGHT, holdout={1: (200, 200)}))
    assert judgement.passes


def test_of_no_samples_there_are_no_falls() -> None:
    empty = seen([])
    probe = Probe({}, unseen=[], retained=[], holdout=[], gone=frozenset(), num_classes=2)
    assert falls(empty, empty, probe) == Falls(None, {}, None)
    judgement = Gate(empty, probe, BOUNDS).judge(empty)
    assert judgement.standings == {}
    assert judgement.distance == 0.0
    assert len(judgement.unmeasured) == 2


def test_of_labels_with_too_few_samples_none_is_called_the_worst_unless_it_fell_too_far() -> None:
    small, large = Fall(1.0, 0.9, 10, lost=1, gained=0), Fall(1.0, 0.95, 100, lost=5, gained=0)
    assert Falls(None, {1: small, 2: large}, None).worst_label(BOUNDS.falls) == (2, large)
    assert Falls(None, {1: small}, None).worst_label(BOUNDS.falls) is None
    lost = Fall(1.0, 0.0, 10, lost=10, gained=0)
    assert Falls(None, {1: lost, 2: large}, None).worst_label(BOUNDS.falls) == (1, lost)


def test_what_may_be_chance_is_what_95_per_cent_of_runs_would_not_exceed_on_either_side() -> None:
    # Clopper and Pearson: of 20 samples 5 lost are 8.7 % at least, and 6 are 11.9 %.
    for lost, sure in ((5, False), (6, True)):
        assert Fall(1.0, 1 - lost / 20, 20, lost, gained=0).surely_over(0.1, among=1) is sure


def test_only_what_was_not_recognised_before_can_be_gained() -> None:
    # Of these ten nobody was gained, which says more of ten than of twenty.
    assert not Fall(0.5, 0.2, 20, lost=6, gained=0).surely_over(0.1, among=1)
    assert Fall(1.0, 0.7, 20, lost=6, gained=0).surely_over(0.1, among=1)


def test_a_label_with_enough_samples_makes_it_no_harder_to_tell_of_those_with_few() -> None:
    few = Fall(1.0, 22 / 29, 29, lost=7, gained=0)
    enough = {label: Fall(1.0, 1.0, 30, lost=0, gained=0) for label in range(5)}
    (said,) = Falls(None, {**enough, 7: few}, None).reasons(BOUNDS.falls)
    assert "label 7 (29 samples)" in said
    fewer = {label: Fall(1.0, 1.0, 29, lost=0, gained=0) for label in range(5)}
    assert not Falls(None, {**fewer, 7: few}, None).reasons(BOUNDS.falls)


@pytest.mark.parametrize(
    ("others", "lost", "sure"),
    [(0, 9, False), (0, 10, True), (20, 11, False), (20, 12, True), (100, 12, False)],
)
def test_the_more_falls_there_are_the_more_it_takes_to_be_sure_of_one(
    others: int, lost: int, sure: bool
) -> None:
    # Nine of forty would do for one label alone; the retained and the unseen count as well.
    fell, none = Fall(1.0, 1 - lost / 40, 40, lost, gained=0), Fall(1.0, 1.0, 40, 0, gained=0)
    found = Falls(none, dict.fromkeys(range(others), none) | {others: fell}, none)
    assert len(found.reasons(BOUNDS.falls)) == 1
    assert bool(found.sure_reasons(BOUNDS.falls)) == sure


def test_a_fall_that_is_no_chance_is_told_beside_a_greater_one_that_may_be() -> None:
    few, many = Fall(1.0, 0.7, 10, lost=3, gained=0), Fall(1.0, 0.75, 400, lost=100, gained=0)
    bounds = replace(BOUNDS, min_probe=10).falls
    (first,) = Falls(None, {1: few, 2: many}, None).reasons(bounds)
    assert "label 1" in first
    (told,) = Falls(None, {1: few, 2: many}, None).sure_reasons(bounds)
    assert "label 2" in told
