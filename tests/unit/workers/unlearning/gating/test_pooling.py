"""What shows nothing cohort by cohort, and something once all of them are taken together."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import Closeness, Rule
from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.observations import hits, seen, together
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.gating import reasons
from workers.unlearning.gating.pooling import Pool
from workers.unlearning.probing.expectation import Expectation
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.verification import Thresholds, standing_of

PER_COHORT, UNSEEN = 20, 40
# Of each label the forgotten ones come first, then the unseen ones.
OF_A_LABEL = 1000
RETAINED, HOLDOUT = 500_000, 600_000
COHORTS = [Cohort((label,), PER_COHORT, scattered=False) for label in range(8)]
THRESHOLDS = Thresholds(membership=0.02, excess=0.02, min_probe=30)
# Of so many of 40 unseen samples a loss below is no influence in 20 samples, and some in 80.
SOMEWHAT = 25


def network(*above: int) -> Observed:
    """The forgotten of each label in turn have a lower loss than so many of its unseen samples."""
    parts = []
    for label, lower_than in enumerate(above):
        losses = [UNSEEN - lower_than - 0.5] * PER_COHORT + [float(n) for n in range(UNSEEN)]
        parts.append(seen([label] * len(losses), losses, first=OF_A_LABEL * label))
    return together(*parts, hits(9, 200, 200, first=RETAINED), hits(9, 200, 200, first=HOLDOUT))


def probe_of(labels: int, gone: frozenset[int] = frozenset()) -> Probe:
    """The probe of which a network of so many labels has made something."""
    firsts = [OF_A_LABEL * label for label in range(labels)]
    return Probe(
        forgotten={
            COHORTS[label]: range(first, first + PER_COHORT) for label, first in enumerate(firsts)
        },
        unseen=[p for first in firsts for p in range(first + PER_COHORT, first + 60)],
        retained=range(RETAINED, RETAINED + 200),
        holdout=range(HOLDOUT, HOLDOUT + 200),
        gone=gone,
        num_classes=10,
    )


def gate_of(
    *above: int,
    gone: frozenset[int] = frozenset(),
    asked: Collection[int] | None = None,
    before: bool = False,
) -> Gate:
    probe = probe_of(len(above), gone)
    return Gate(network(*above), probe, BOUNDS, asked=asked, forgotten_together=before)


def test_one_cohort_that_shows_nothing_is_no_pool() -> None:
    gate = gate_of(SOMEWHAT)
    assert gate.pool.at_base is None
    assert gate.judge(gate.base).pooled is None
    assert gate.judge(gate.base).passes


@pytest.mark.parametrize(
    ("above", "looks"), [(SOMEWHAT, "more familiar"), (UNSEEN - SOMEWHAT, "stranger")]
)
def test_four_that_show_nothing_one_by_one_show_something_together(above: int, looks: str) -> None:
    gate = gate_of(*[above] * 4)
    assert {standing.closeness for standing in gate.at_base.values()} == {Closeness.ALIKE}
    judgement = gate.judge(gate.base)
    (said,) = judgement.shortfalls
    assert said.startswith("4 cohorts that show nothing one by one (label 0, label 1, label 2, ")
    assert f"all their forgotten samples together look {looks} than unseen ones" in said
    assert f"an area of {above / UNSEEN:.3f}" in said
    assert "on 80 of them" in said
    assert judgement.distance > 0
    assert not judgement.is_ideal
    for cohort in COHORTS[:4]:
        assert judgement.gives_away(cohort)
        assert judgement.closeness_of(cohort) is gate.closeness_at_base(cohort)
        assert judgement.closeness_of(cohort) is not Closeness.ALIKE


def test_influence_of_all_together_is_influence_of_each() -> None:
    assert gate_of(*[SOMEWHAT] * 4).influenced
    assert gate_of(*[SOMEWHAT] * 4, asked=[2]).influenced
    assert not gate_of(*[SOMEWHAT] * 4, asked=[7]).influenced
    assert not gate_of(*[20] * 4).influenced


@pytest.mark.parametrize(
    ("at_base", "after", "passes"),
    [
        # In 80 samples 23 of 40 is less than 1.96 standard errors from a half, and more than one.
        (20, 23, True),
        (23, 23, True),
        (25, 23, False),
        (25, 21, True),
        (15, 17, False),
        (15, 19, True),
        (20, 25, False),
    ],
)
def test_what_the_base_showed_together_must_come_nearer_than_what_it_did_not(
    at_base: int, after: int, passes: bool
) -> None:
    judgement = gate_of(*[at_base] * 4).judge(network(*[after] * 4))
    assert {each.closeness for each in judgement.standings.values()} == {Closeness.ALIKE}
    assert judgement.passes == passes
    assert (judgement.distance == 0) == passes
    assert judgement.gives_away(COHORTS[0]) == (not passes)


def test_what_shows_something_alone_or_is_gone_is_in_no_pool() -> None:
    gate = gate_of(SOMEWHAT, 40, 20, SOMEWHAT, gone=frozenset([3]))
    assert gate.pool.cohorts == {COHORTS[0], COHORTS[2]}
    judgement = gate.judge(gate.base)
    assert judgement.closeness_of(COHORTS[1]) is Closeness.FAMILIAR
    assert judgement.standings[COHORTS[3]].rule is Rule.CHANCE
    assert judgement.gives_away(COHORTS[3])
    assert not judgement.gives_away(COHORTS[0])


def expecting(base: Observed, *cohorts: Cohort, of_kind: bool = False) -> dict[Cohort, Expectation]:
    """That all unseen samples of their labels are recognised, as they are."""
    probe = probe_of(4)
    found = {}
    for cohort in cohorts:
        positions = np.sort(probe.like(cohort, base).positions)
        found[cohort] = Expectation(
            positions, np.ones(len(positions)), "unseen", of_kind=of_kind, excused=frozenset()
        )
    return found


def test_what_is_recognised_as_often_as_expected_is_in_the_pool_all_the_same() -> None:
    base = network(*[SOMEWHAT] * 4)
    gate = Gate(base, probe_of(4), BOUNDS, recorded=expecting(base, *COHORTS[:3]))
    assert gate.at_base[COHORTS[0]].rule is Rule.EXPECTED
    assert gate.pool.cohorts == set(COHORTS[:4])
    assert gate.influenced
    (said,) = gate.judge(base).shortfalls
    assert "4 cohorts" in said


def test_a_pool_with_a_kind_may_look_strange_and_others_may_not() -> None:
    base, strange = network(*[SOMEWHAT] * 4), network(*[UNSEEN - SOMEWHAT] * 4)
    expected = expecting(base, COHORTS[0])
    assert Gate(base, probe_of(4), BOUNDS, recorded=expected).judge(strange).shortfalls
    gate = Gate(base, probe_of(4), BOUNDS, recorded=expecting(base, COHORTS[0], of_kind=True))
    judgement = gate.judge(strange)
    assert judgement.passes
    assert judgement.distance == 0
    assert Gate(base, probe_of(4), BOUNDS).judge(strange).shortfalls


def test_what_cannot_be_compared_alone_is_in_no_pool() -> None:
    base = network(SOMEWHAT, SOMEWHAT, SOMEWHAT)
    few = base.where((base.labels != 1) | (base.positions < OF_A_LABEL + PER_COHORT + 29))
    gate = Gate(few, probe_of(3), BOUNDS)
    assert gate.at_base[COHORTS[1]].closeness is Closeness.UNDECIDABLE
    assert gate.pool.cohorts == {COHORTS[0], COHORTS[2]}


@pytest.mark.parametrize("asked", [[7], []])
def test_a_run_that_adds_nothing_to_the_pool_is_not_held_up_by_it(asked: list[int]) -> None:
    gate = gate_of(*[SOMEWHAT] * 4, asked=asked)
    judgement = gate.judge(gate.base)
    assert judgement.is_ideal
    assert judgement.distance == 0
    # Nor does it search for something better, or say anything new of them.
    for cohort in COHORTS[:4]:
        assert gate.closeness_at_base(cohort) is Closeness.ALIKE
        assert judgement.closeness_of(cohort) is Closeness.ALIKE
        assert not judgement.gives_away(cohort)
    assert judgement.pooled is not None
    assert judgement.pooled.excused
    assert judgement.pooled.standing.closeness is Closeness.FAMILIAR


def test_one_label_of_the_pool_that_is_asked_for_is_enough_to_be_held_up() -> None:
    gate = gate_of(*[SOMEWHAT] * 4, asked=[0, 7])
    assert gate.judge(gate.base).shortfalls


@pytest.mark.parametrize(
    ("at_base", "after", "held"),
    [
        # One sample of 40 farther is more than two points, and less is not.
        ([SOMEWHAT] * 4, [SOMEWHAT + 1] * 4, True),
        ([SOMEWHAT] * 4, [SOMEWHAT, SOMEWHAT, SOMEWHAT + 1, SOMEWHAT + 1], False),
        ([SOMEWHAT] * 4, [14] * 4, True),
        ([SOMEWHAT] * 4, [17] * 4, False),
        ([20] * 4, [SOMEWHAT + 1] * 4, True),
        ([20] * 4, [23] * 4, False),
    ],
)
def test_that_such_a_run_makes_it_worse_is_damage(
    at_base: list[int], after: list[int], held: bool
) -> None:
    judgement = gate_of(*at_base, asked=[]).judge(network(*after))
    assert bool(judgement.damage) == judgement.gives_away(COHORTS[0]) == held
    assert judgement.passes == (not held)
    assert not judgement.shortfalls
    # The search goes by those that are asked for.
    assert judgement.closeness_of(COHORTS[0]) is Closeness.ALIKE


def test_what_an_earlier_version_has_forgotten_together_every_later_one_must_too() -> None:
    gate = gate_of(*[SOMEWHAT] * 4, asked=[7], before=True)
    assert gate.closeness_at_base(COHORTS[0]) is Closeness.FAMILIAR
    remembered, forgotten = gate.judge(gate.base), gate.judge(network(20, 20, 20, 20))
    assert remembered.shortfalls
    assert not gate.has_forgotten_together(remembered)
    assert forgotten.is_ideal
    assert gate.has_forgotten_together(forgotten)


@pytest.mark.parametrize(
    ("above", "asked"), [([20] * 4, [0]), ([SOMEWHAT] * 4, []), ([SOMEWHAT], [0])]
)
def test_nothing_is_forgotten_together_where_nothing_was_to_be(
    above: list[int], asked: list[int]
) -> None:
    gate = gate_of(*above, asked=asked)
    assert not gate.has_forgotten_together(gate.judge(network(*[20] * len(above))))


def test_many_cohorts_are_counted_where_they_are_not_named() -> None:
    cohorts = [Cohort((label,), 20, scattered=False) for label in range(12)]
    pooled = gate_of(*[SOMEWHAT] * 4).pool.at_base
    assert pooled is not None
    (said,) = reasons.together(replace(pooled, cohorts=frozenset(cohorts)))
    assert said.startswith("12 cohorts")
    assert "(label 0, label 1, label 2," in said
    assert "label 9 and 2 more)" in said


def test_what_vanishes_between_two_looks_is_no_proof() -> None:
    gate = gate_of(*[SOMEWHAT] * 4)
    judgement = gate.judge(gate.base.where(gate.base.labels == 9))
    (said,) = judgement.shortfalls
    assert "nothing left to compare" in said
    assert not judgement.passes


def test_of_a_kind_only_its_like_are_compared_with() -> None:
    base = network(SOMEWHAT, SOMEWHAT)
    # Those of label 0 that have a higher loss than the forgotten.
    kind = frozenset(range(PER_COHORT + UNSEEN - SOMEWHAT, PER_COHORT + UNSEEN))
    alone = {cohort: standing_of(cohort, base, probe_of(2), THRESHOLDS) for cohort in COHORTS[:2]}
    probe = replace(probe_of(2), kinds={COHORTS[0]: kind})
    pool = Pool(alone, base, probe, THRESHOLDS, like_kin=(), asked=[0], forgotten_before=False)
    assert pool.at_base is not None
    attack = pool.at_base.standing.attack
    assert attack is not None
    assert attack.unseen == len(kind) + UNSEEN
    assert attack.area.value == pytest.approx((1 + SOMEWHAT / UNSEEN) / 2)


@given(st.lists(st.integers(16, 24), min_size=2, max_size=8))
def test_a_pool_stands_as_one_cohort_of_all_its_samples_would(above: list[int]) -> None:
    base, probe = network(*above), probe_of(len(above))
    everything = Cohort(tuple(range(len(above))), PER_COHORT * len(above), scattered=True)
    at_once = replace(
        probe, forgotten={everything: [p for each in probe.forgotten.values() for p in each]}
    )
    pooled = Gate(base, probe, BOUNDS).pool.at_base
    assert pooled is not None
    assert pooled.standing == standing_of(everything, base, at_once, THRESHOLDS)


def test_a_label_that_is_gone_is_in_no_pool_though_the_base_does_not_recognise_it() -> None:
    base = network(*[SOMEWHAT] * 3)
    unknown = replace(base, right=base.right & (base.labels != 2))
    gate = Gate(unknown, probe_of(3, frozenset([2])), BOUNDS)
    assert gate.at_base[COHORTS[2]].rule is Rule.CHANCE
    assert gate.at_base[COHORTS[2]].closeness is Closeness.ALIKE
    assert gate.pool.cohorts == {COHORTS[0], COHORTS[1]}


def test_a_kind_that_is_not_in_the_pool_is_no_reason_to_look_strange() -> None:
    # Label 0 shows something alone.
    base = network(UNSEEN, *[SOMEWHAT] * 4)
    strange = network(UNSEEN // 2, *[UNSEEN - SOMEWHAT] * 4)
    alone = {cohort: standing_of(cohort, base, probe_of(5), THRESHOLDS) for cohort in COHORTS[:5]}
    pool = Pool(
        alone,
        base,
        probe_of(5),
        THRESHOLDS,
        like_kin=[COHORTS[0]],
        asked=[1],
        forgotten_before=False,
    )
    assert pool.cohorts == set(COHORTS[1:5])
    pooled = pool.judge(strange)
    assert pooled is not None
    assert pooled.standing.closeness is Closeness.CONSPICUOUS
