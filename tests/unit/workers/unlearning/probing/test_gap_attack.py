"""The gap attack, against trying all ways in which the forgotten samples could have been drawn."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workers.unlearning.observations import hits, seen, together
from workers.unlearning.probing.gap_attack import GapAttack, gap_attack
from workers.unlearning.probing.observation import Observed

UNSEEN = 10_000
# Of one label: forgotten samples recognised, how many there are, and the same of unseen ones.
Label = tuple[int, int, int, int]
label_of_few = st.tuples(st.integers(0, 4), st.integers(0, 5)).flatmap(
    lambda sizes: st.tuples(
        st.integers(0, sizes[0]), st.just(sizes[0]), st.integers(0, sizes[1]), st.just(sizes[1])
    )
)


def attacked(*labels: Label) -> GapAttack | None:
    forgotten: list[Observed] = [seen([])]
    unseen: list[Observed] = [seen([])]
    for label, (right, count, others_right, others) in enumerate(labels):
        forgotten.append(hits(label, right, count, first=100 * label))
        unseen.append(hits(label, others_right, others, first=UNSEEN + 100 * label))
    return gap_attack(together(*forgotten), together(*unseen))


def chance_by_trying(labels: list[Label]) -> float:
    """In which share of all draws of forgotten samples as many or fewer differ from what is
    expected.
    """
    draws = []
    for right, count, others_right, others in labels:
        pool = [1] * (right + others_right) + [0] * (count + others - right - others_right)
        draws.append([sum(drawn) for drawn in combinations(pool, count)])
    expected = sum(
        count * (right + others_right) / (count + others)
        for right, count, others_right, others in labels
    )
    found = abs(sum(right for right, *_ in labels) - expected)
    as_far = sum(abs(sum(drawn) - expected) >= found - 1e-9 for drawn in product(*draws))
    return as_far / sum(1 for _ in product(*draws))


@given(st.lists(label_of_few, min_size=1, max_size=3))
def test_its_chance_is_the_share_of_all_draws_that_are_as_far_from_what_is_expected(
    labels: list[Label],
) -> None:
    attack = attacked(*labels)
    matched = [each for each in labels if each[1] and each[3]]
    if not matched:
        assert attack is None
        return
    assert attack is not None
    count = sum(of for _, of, _, _ in matched)
    assert attack.count == count
    assert attack.chance == pytest.approx(chance_by_trying(matched), abs=1e-9)
    gaps = [of / count * (right / of - right2 / of2) for right, of, right2, of2 in matched]
    assert attack.gap == pytest.approx(sum(gaps))


def test_labels_of_which_there_are_no_unseen_samples_do_not_count() -> None:
    assert attacked((3, 5, 0, 0)) is None
    assert attacked((3, 5, 0, 0), (2, 4, 6, 8)) == attacked((0, 0, 0, 0), (2, 4, 6, 8))


@pytest.mark.parametrize(
    ("right", "others_right", "chance"),
    [(1, 930, 1.0), (0, 930, 71 / 1001), (0, 1000, 1 / 1001), (1, 0, 1 / 1001)],
)
def test_of_a_single_sample_it_tells_what_its_rank_among_unseen_ones_does(
    right: int, others_right: int, chance: float
) -> None:
    attack = attacked((right, 1, others_right, 1000))
    assert attack is not None
    assert attack.chance == pytest.approx(chance)


def test_a_hundred_that_are_known_by_heart_stand_out_where_nine_in_ten_are_recognised() -> None:
    attack = attacked((100, 100, 900, 1000))
    assert attack is not None
    assert attack.gap == pytest.approx(0.1)
    # All that are not recognised are among the unseen ones; on the other side there is less.
    assert comb(1000, 100) / comb(1100, 100) <= attack.chance < 0.001


def test_it_is_hardly_ever_unlikely_where_nothing_but_chance_decides() -> None:
    generator = np.random.default_rng(0)
    doubted = 0
    for _ in range(500):
        labels = [
            (int(generator.binomial(size, sure)), size, int(generator.binomial(50, sure)), 50)
            for size, sure in zip((3, 10, 30), (0.5, 0.8, 0.97), strict=True)
        ]
        attack = attacked(*labels)
        assert attack is not None
        doubted += attack.chance < 0.05
    assert doubted <= 35


def test_large_counts_are_no_trouble() -> None:
    attack = attacked(*[(5_400, 6_000, 900, 1_000)] * 10)
    assert attack is not None
    assert attack.chance == pytest.approx(1.0)
    assert attack.gap == pytest.approx(0.0)
