"""Standings of cohorts and figures of networks, against counting and slow loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import Closeness, Rule
from tests.unit.workers.unlearning.observations import hits, seen, together
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.reasons import undecided
from workers.unlearning.probing.expectation import Expectation
from workers.unlearning.probing.intervals import Z
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import Standing
from workers.unlearning.verification import Thresholds, standing_of

COHORT = Cohort((0,), 100, scattered=False)
# Where unseen samples begin; forgotten ones are at 0, 1, 2, …
UNSEEN = 10_000
EXCESS = 0.05


def stands(
    forgotten: Observed,
    unseen: Observed,
    *,
    cohort: Cohort = COHORT,
    gone: bool = False,
    num_classes: int = 10,
    membership: float = 0.02,
    min_probe: int = 30,
    errors: float = Z,
) -> Standing:
    """How a network that makes this of its samples treats the cohort."""
    probe = Probe(
        forgotten={cohort: forgotten.positions.tolist()},
        unseen=unseen.positions.tolist(),
        retained=[],
        holdout=[],
        gone=frozenset(cohort.labels if gone else ()),
        num_classes=num_classes,
    )
    return standing_of(
        cohort,
        together(forgotten, unseen),
        probe,
        Thresholds(membership, EXCESS, min_probe, attack_errors=errors),
    )


# Forgotten in part: like unseen samples --------------------------------------------------------


def ranked(above: int, count: int, *, forgotten: int = 100, label: int = 0) -> tuple[Observed, ...]:
    """Forgotten samples of one loss, and unseen ones of which so many have a higher one."""
    unseen = seen([label] * count, list(range(count)), first=UNSEEN)
    return seen([label] * forgotten, count - above - 0.5), unseen


@given(
    above=st.integers(0, 40),
    forgotten=st.integers(1, 60),
    membership=st.sampled_from([0.0, 0.02, 0.2, 0.5]),
    errors=st.sampled_from([1.0, Z]),
)
def test_what_counts_is_the_distance_beyond_the_bound_or_the_error_on_either_side(
    above: int, forgotten: int, membership: float, errors: float
) -> None:
    standing = stands(*ranked(above, 40, forgotten=forgotten), membership=membership, errors=errors)
    assert standing.rule is Rule.LIKE_UNSEEN
    assert standing.attack is not None
    area = standing.attack.area
    assert area.value == pytest.approx(above / 40)
    towards_half = area.value - area.low if above > 20 else area.high - area.value
    bound = max(membership, errors * towards_half / Z)
    beyond = abs(above / 40 - 0.5) - bound
    assert standing.bound == pytest.approx(bound)
    if abs(beyond) < 1e-9:
        return
    if beyond < 0:
        assert (standing.closeness, standing.distance) == (Closeness.ALIKE, 0.0)
    elif above > 20:
        assert standing.closeness is Closeness.FAMILIAR
        assert standing.distance == pytest.approx(beyond)
    else:
        assert standing.closeness is Closeness.CONSPICUOUS
        assert standing.distance == pytest.approx(-beyond)


@pytest.mark.parametrize(
    ("above", "closeness"),
    [
        (47, Closeness.CONSPICUOUS),
        (48, Closeness.ALIKE),
        (52, Closeness.ALIKE),
        (53, Closeness.FAMILIAR),
    ],
)
def test_at_the_bound_itself_it_counts_as_none(above: int, closeness: Closeness) -> None:
    unseen = seen([0] * 5000, [i % 100 for i in range(5000)], first=UNSEEN)
    standing = stands(seen([0] * 5000, 100 - above - 0.5), unseen, membership=0.02)
    assert standing.bound == 0.02
    assert standing.closeness is closeness
    assert standing.distance == pytest.approx({47: -0.01, 53: 0.01}.get(above, 0.0), abs=1e-12)


def test_within_the_interval_but_not_within_one_error_is_a_question_of_what_was_asked() -> None:
    samples = ranked(25, 40, forgotten=20)
    assert stands(*samples, errors=Z).closeness is Closeness.ALIKE
    assert stands(*samples, errors=1.0).closeness is Closeness.FAMILIAR
    samples = ranked(15, 40, forgotten=20)
    assert stands(*samples, errors=Z).closeness is Closeness.ALIKE
    assert stands(*samples, errors=1.0).closeness is Closeness.CONSPICUOUS


def halves(right: int, others_right: int = 900) -> tuple[Observed, Observed]:
    """A hundred forgotten samples that losses do not tell from a thousand unseen ones."""
    forgotten = seen([0] * 100, [0.0, 2.0] * 50, right=[i < right for i in range(100)])
    unseen = seen([0] * 1000, 1.0, right=[i < others_right for i in range(1000)], first=UNSEEN)
    return forgotten, unseen


@pytest.mark.parametrize(
    ("right", "closeness"),
    [
        (100, Closeness.FAMILIAR),
        (97, Closeness.ALIKE),
        (90, Closeness.ALIKE),
        (83, Closeness.ALIKE),
        (80, Closeness.CONSPICUOUS),
    ],
)
def test_samples_that_losses_do_not_tell_apart_may_be_told_by_how_many_are_recognised(
    right: int, closeness: Closeness
) -> None:
    standing = stands(*halves(right))
    assert standing.attack is not None
    assert standing.attack.area.value == 0.5
    assert (standing.rule, standing.closeness) == (Rule.LIKE_UNSEEN, closeness)
    assert standing.by_gap == (not standing.accepted) == (closeness is not Closeness.ALIKE)
    if standing.by_gap:
        assert standing.bound == EXCESS
        assert standing.distance == pytest.approx(
            (right - 90) / 100 - math.copysign(EXCESS, right - 90)
        )


def test_a_gap_that_is_no_chance_but_smaller_than_the_policy_minds_counts_as_none() -> None:
    forgotten = seen([0] * 5000, [0.0, 2.0] * 2500, right=[i < 4700 for i in range(5000)])
    unseen = seen([0] * 5000, 1.0, right=[i < 4500 for i in range(5000)], first=UNSEEN)
    standing = stands(forgotten, unseen)
    assert standing.gap is not None
    assert standing.gap.chance < 1e-6
    assert standing.closeness is Closeness.ALIKE


def test_where_losses_tell_samples_apart_it_is_they_that_decide() -> None:
    forgotten, unseen = ranked(40, 40)
    # None of them is recognised, although their losses are lower.
    none = replace(forgotten, right=np.zeros(len(forgotten), np.bool_))
    standing = stands(none, unseen)
    assert (standing.closeness, standing.by_gap) == (Closeness.FAMILIAR, False)
    # Where losses decide nothing for want of unseen samples, the gap does not either.
    forgotten, unseen = halves(100, 0)
    standing = stands(forgotten, unseen.at(unseen.positions[:29].tolist()))
    assert standing.gap is not None
    assert standing.gap.chance < 1e-6
    assert (standing.closeness, standing.by_gap) == (Closeness.UNDECIDABLE, False)


@pytest.mark.parametrize(("count", "decides"), [(29, False), (30, True)])
def test_fewer_unseen_samples_than_the_policy_wants_decide_nothing(
    count: int, decides: bool
) -> None:
    standing = stands(*ranked(count, count))
    assert (standing.closeness is not Closeness.UNDECIDABLE) == decides
    assert (standing.distance is not None) == (standing.bound is not None) == decides
    assert standing.attack is not None


def test_only_unseen_samples_of_the_cohorts_labels_decide() -> None:
    forgotten, unseen = ranked(29, 29)
    others = seen([1] * 100, first=UNSEEN + 29)
    assert stands(forgotten, together(unseen, others)).closeness is Closeness.UNDECIDABLE
    both = Cohort((0, 1), 100, scattered=True)
    # Nobody of label 1 is forgotten in the probe, so nobody is compared with it either.
    standing = stands(forgotten, together(unseen, others), cohort=both)
    assert standing.closeness is Closeness.UNDECIDABLE


@pytest.mark.parametrize(("forgotten", "unseen"), [(0, 40), (40, 0), (0, 0)])
@pytest.mark.parametrize("gone", [False, True])
def test_without_samples_nothing_can_be_said(forgotten: int, unseen: int, gone: bool) -> None:
    standing = stands(seen([0] * forgotten), seen([0] * unseen, first=UNSEEN), gone=gone)
    assert standing.attack is None
    assert (standing.accuracy is None) == (forgotten == 0)
    if gone and forgotten + unseen:
        assert standing.closeness is Closeness.FAMILIAR
    else:
        assert standing.closeness is Closeness.UNDECIDABLE
        assert standing.distance is None
        assert standing.bound is None


# Forgotten whole: by chance --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_classes", "count"), [(2, 30), (3, 30), (7, 70), (10, 50), (100, 500)]
)
def test_a_label_that_is_gone_may_be_recognised_a_fifth_as_often_as_chance_would(
    num_classes: int, count: int
) -> None:
    allowed = count // (5 * num_classes)
    for right, closeness in ((allowed, Closeness.ALIKE), (allowed + 1, Closeness.FAMILIAR)):
        # Whatever losses say: that nobody recognises it is what a network without it does.
        standing = stands(
            seen([0] * 100, 9.0), hits(0, right, count, UNSEEN), gone=True, num_classes=num_classes
        )
        assert standing.rule is Rule.CHANCE
        assert standing.recognised_on == "unseen"
        assert standing.recognised is not None
        assert standing.recognised.value == right / count
        assert standing.closeness is closeness
        assert standing.bound == pytest.approx(0.2 / num_classes)
        assert standing.distance == pytest.approx((right - allowed) / count)


@pytest.mark.parametrize(
    ("num_classes", "accepted"), [(2, 100), (3, 100), (10, 100), (20, 50), (100, 10)]
)
def test_of_a_label_that_is_gone_no_more_than_a_tenth_and_than_chance_is_accepted(
    num_classes: int, accepted: int
) -> None:
    for right in (accepted, accepted + 1):
        standing = stands(
            seen([0] * 100, 9.0), hits(0, right, 1000, UNSEEN), gone=True, num_classes=num_classes
        )
        assert standing.accepted == (right == accepted)


@pytest.mark.parametrize(
    ("count", "min_probe", "accepted"), [(50, 30, 1), (99, 30, 1), (200, 30, 2), (5, 5, 0)]
)
def test_of_many_labels_one_sample_alone_is_never_too_much_unless_it_is_more_than_a_tenth(
    count: int, min_probe: int, accepted: int
) -> None:
    for right in (accepted, accepted + 1):
        standing = stands(
            seen([0] * 100, 9.0),
            hits(0, right, count, UNSEEN),
            gone=True,
            num_classes=100,
            min_probe=min_probe,
        )
        assert standing.accepted == (right == accepted)


def test_where_there_are_too_few_unseen_samples_the_forgotten_ones_tell() -> None:
    forgotten = hits(0, 0, 50)
    few, enough = hits(0, 29, 29, UNSEEN), hits(0, 30, 30, UNSEEN)
    standing = stands(forgotten, few, gone=True)
    assert (standing.closeness, standing.recognised_on) == (Closeness.ALIKE, "forgotten")
    assert standing.recognised is not None
    assert standing.recognised.count == 50
    standing = stands(forgotten, enough, gone=True)
    assert (standing.closeness, standing.recognised_on) == (Closeness.FAMILIAR, "unseen")


def test_unseen_samples_of_other_labels_say_nothing_of_a_label_that_is_gone() -> None:
    unseen = together(hits(0, 29, 29, UNSEEN), hits(1, 50, 50, UNSEEN + 29))
    standing = stands(hits(0, 0, 50), unseen, gone=True)
    assert (standing.closeness, standing.recognised_on) == (Closeness.ALIKE, "forgotten")


def test_too_few_of_both_decide_nothing() -> None:
    standing = stands(hits(0, 0, 29), hits(0, 0, 29, UNSEEN), gone=True)
    assert (standing.closeness, standing.distance) == (Closeness.UNDECIDABLE, None)


def test_a_cohort_of_which_one_label_is_still_retained_is_held_against_unseen_samples() -> None:
    cohort = Cohort((0, 1), 10, scattered=True)
    forgotten = seen([0] * 20 + [1] * 20)
    unseen = seen([0] * 20 + [1] * 20, first=UNSEEN)
    probe = Probe(
        forgotten={cohort: forgotten.positions.tolist()},
        unseen=unseen.positions.tolist(),
        retained=[],
        holdout=[],
        gone=frozenset([1]),
        num_classes=10,
    )
    seen_by = together(forgotten, unseen)
    standing = standing_of(cohort, seen_by, probe, Thresholds(0.02, EXCESS, 30))
    assert standing.rule is Rule.LIKE_UNSEEN
    assert standing.closeness is Closeness.ALIKE


# A kind, or most of a label: as often as is expected ------------------------------------------


def against(
    recognised: int,
    share: float,
    *,
    above: int = 50,
    count: int = 100,
    min_probe: int = 30,
    of_kind: bool = False,
) -> Standing:
    """So many of `count` unseen samples are recognised, where a share is expected to be."""
    unseen = seen(
        [0] * count,
        [float(rank) for rank in range(count)],
        right=[position < recognised for position in range(count)],
        first=UNSEEN,
    )
    forgotten = seen([0] * 100, count - above - 0.5)
    probe = Probe(
        {COHORT: forgotten.positions.tolist()},
        unseen.positions.tolist(),
        [],
        [],
        gone=frozenset(),
        num_classes=10,
    )
    expectation = Expectation(
        unseen.positions, np.full(count, share), "unseen", of_kind=of_kind, excused=frozenset()
    )
    thresholds = Thresholds(0.02, EXCESS, min_probe, errors=1.0)
    return standing_of(COHORT, together(forgotten, unseen), probe, thresholds, expectation)


@pytest.mark.parametrize(
    ("recognised", "closeness", "accepted"),
    [
        (0, Closeness.CONSPICUOUS, False),
        (44, Closeness.CONSPICUOUS, False),
        (45, Closeness.CONSPICUOUS, True),
        (54, Closeness.CONSPICUOUS, True),
        (55, Closeness.ALIKE, True),
        (60, Closeness.ALIKE, True),
        (65, Closeness.ALIKE, True),
        (66, Closeness.FAMILIAR, False),
        (100, Closeness.FAMILIAR, False),
    ],
)
def test_about_as_many_are_to_be_recognised_as_are_expected_and_rather_fewer_than_more(
    recognised: int, closeness: Closeness, accepted: bool
) -> None:
    standing = against(recognised, 0.6)
    assert standing.rule is Rule.EXPECTED
    assert standing.closeness is closeness
    assert standing.accepted is accepted
    assert standing.expected == pytest.approx(0.6)
    assert standing.recognised is not None
    assert standing.recognised.value == recognised / 100
    assert standing.recognised_on == "unseen"
    assert standing.is_loss is (recognised < 45)
    share = recognised / 100
    bound = max(EXCESS, math.sqrt(share * (1 - share) / 99))
    assert standing.bound == pytest.approx(bound)
    expected = math.copysign(max(0.0, abs(share - 0.6) - bound), share - 0.6)
    assert standing.distance == pytest.approx(expected)


@pytest.mark.parametrize(
    ("above", "of_kind", "apart"),
    [
        (50, False, None),
        (90, False, Closeness.FAMILIAR),
        (10, False, Closeness.CONSPICUOUS),
        (90, True, Closeness.FAMILIAR),
        # Of a kind few may be unseen: that it looks stranger than these says nothing.
        (10, True, None),
    ],
)
@pytest.mark.parametrize("recognised", [0, 100])
def test_whom_the_attack_tells_apart_is_said_whatever_rule_decides(
    recognised: int, above: int, of_kind: bool, apart: Closeness | None
) -> None:
    standing = against(recognised, 0.6, above=above, of_kind=of_kind)
    assert standing.rule is Rule.EXPECTED
    assert standing.apart is apart


def test_of_few_samples_an_error_of_the_share_counts_as_none() -> None:
    standing = against(10, 0.5, above=5, count=10, min_probe=5)
    assert standing.bound == EXCESS
    standing = against(7, 0.5, above=5, count=10, min_probe=5)
    assert standing.bound == pytest.approx(math.sqrt(0.7 * 0.3 / 9))
    assert standing.closeness is Closeness.FAMILIAR


def test_samples_that_are_known_better_than_their_like_are_familiar_all_the_same() -> None:
    standing = against(60, 0.6, above=90)
    assert (standing.rule, standing.closeness) == (Rule.LIKE_UNSEEN, Closeness.FAMILIAR)
    assert standing.expected == pytest.approx(0.6)
    # First their like are to be known no better than is expected.
    assert against(80, 0.6, above=90).rule is Rule.EXPECTED


def test_samples_that_look_stranger_than_their_like_are_conspicuous_unless_they_are_a_kind() -> (
    None
):
    standing = against(60, 0.6, above=10)
    assert (standing.rule, standing.closeness) == (Rule.LIKE_UNSEEN, Closeness.CONSPICUOUS)
    assert not standing.accepted
    # Of a kind few may be unseen.
    standing = against(60, 0.6, above=10, of_kind=True)
    assert (standing.rule, standing.closeness) == (Rule.EXPECTED, Closeness.ALIKE)
    assert standing.accepted


@pytest.mark.parametrize(("unmatched", "told"), [(0, True), (20, True), (21, False)])
def test_the_few_that_can_be_compared_do_not_stand_for_most(unmatched: int, told: bool) -> None:
    cohort = Cohort((0, 1), 20 + unmatched, scattered=True)
    forgotten = seen([0] * 20 + [1] * unmatched, 0.5)
    unseen = seen([0] * 40, [float(rank) for rank in range(40)], first=UNSEEN)
    probe = Probe(
        {cohort: forgotten.positions.tolist()},
        unseen.positions.tolist(),
        [],
        [],
        gone=frozenset(),
        num_classes=10,
    )
    thresholds = Thresholds(0.02, EXCESS, 30)
    standing = standing_of(cohort, together(forgotten, unseen), probe, thresholds)
    assert standing.attack is not None
    assert standing.attack.unmatched == unmatched
    assert (standing.closeness is not Closeness.UNDECIDABLE) is told
    if not told:
        assert "21 of its forgotten samples" in undecided(cohort, standing, min_probe=30)


def test_too_few_samples_to_expect_anything_of_decide_nothing() -> None:
    standing = against(10, 0.6, above=5, count=10)
    assert (standing.closeness, standing.distance) == (Closeness.UNDECIDABLE, None)
    assert not standing.accepted
