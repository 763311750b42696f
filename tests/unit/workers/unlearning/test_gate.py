"""The gate: what must be forgotten, what is expected of a kind, and what was accepted before."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from models.documents import Closeness, Rule
from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.observations import seen, together
from tests.unit.workers.unlearning.probes import (
    COHORT,
    FORGOTTEN,
    HOLDOUT,
    RETAINED,
    UNSEEN,
    judged,
    network,
    probe_of,
)
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.probing.expectation import Expectation
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.standing import Concession
from workers.unlearning.probing.surrogate import Surrogate

# Unseen samples of label 0 among the holdout; the first half of either are of the kind.
OF_KIND = frozenset([*range(UNSEEN, UNSEEN + 20), *range(HOLDOUT, HOLDOUT + 30)])
SOME_KIN = replace(BOUNDS, min_probe=20)


def taught_without(base: Observed, lost: frozenset[int], kind: bool = True) -> Surrogate:
    """A surrogate that is right about everything, and wrong about `lost` without the cohort."""
    positions = np.sort(base.positions)
    right = np.ones(len(positions), np.bool_)
    kinds = {COHORT: OF_KIND} if kind else {}
    return Surrogate(positions, right, ~np.isin(positions, list(lost)), kinds, 1.0, 1.0)


def knowing(share_of_kind: int, of_others: int = 30) -> Observed:
    """So many of the 20 unseen of the kind and 30 in the holdout, and of its label's others."""
    seen_by = network(above=20, holdout={0: (60, 60), 1: (200, 200)})
    right = seen_by.right.copy()
    for first, count in ((UNSEEN, 20), (HOLDOUT, 30)):
        kin = (seen_by.positions >= first) & (seen_by.positions < first + count)
        right[np.flatnonzero(kin)[share_of_kind * count // 20 :]] = False
    others = (seen_by.positions >= HOLDOUT + 30) & (seen_by.positions < HOLDOUT + 60)
    right[np.flatnonzero(others)[of_others:]] = False
    return replace(seen_by, right=right)


def test_what_is_as_the_base_and_shows_nothing_passes() -> None:
    judgement = judged(network(), network())
    assert judgement.passes
    assert judgement.distance == 0.0
    assert (judgement.damage, judgement.shortfalls, judgement.undecided) == ([], [], [])


@pytest.mark.parametrize(
    ("at_base", "after", "passes"),
    [
        # 25 of 40 is less than 1.96 standard errors from a half, and more than one.
        (20, 25, True),
        (25, 25, True),
        (40, 25, False),
        (0, 25, False),
        (40, 22, True),
        (20, 15, True),
        (40, 15, False),
        (0, 15, False),
        (0, 18, True),
        (20, 40, False),
        (20, 0, False),
    ],
)
def test_what_the_base_showed_must_come_nearer_than_what_it_did_not(
    at_base: int, after: int, passes: bool
) -> None:
    judgement = judged(network(at_base), network(after))
    assert judgement.passes == (not judgement.shortfalls) == passes
    assert (judgement.distance > 0) == (not passes)
    if not passes:
        (said,) = judgement.shortfalls
        assert "Label 0" in said
        assert ("familiar" if after > 20 else "stranger") in said
        assert f"{after / 40:.3f}" in said


def recognising(right: int) -> Observed:
    """So many of the 20 forgotten samples, and 24 of the 40 unseen ones; losses tell nothing."""
    seen_by = network(20)
    found = seen_by.right.copy()
    found[right:20] = False
    found[np.flatnonzero((seen_by.positions >= UNSEEN) & (seen_by.positions < RETAINED))[24:]] = (
        False
    )
    return replace(seen_by, right=found)


@pytest.mark.parametrize(
    ("at_base", "after", "passes"),
    [
        # 15 of 20 beside 24 of 40 is chance once in three times or more seldom; 14 is more often.
        (12, 12, True),
        (12, 16, True),
        (20, 20, False),
        (20, 16, False),
        (20, 14, True),
        (20, 10, True),
        (20, 8, False),
        (12, 20, False),
        (12, 2, False),
    ],
)
def test_more_must_not_be_recognised_than_of_unseen_samples_nor_fewer(
    at_base: int, after: int, passes: bool
) -> None:
    base = recognising(at_base)
    gate = Gate(base, probe_of(base), BOUNDS)
    assert gate.influenced == (at_base == 20)
    judgement = gate.judge(recognising(after))
    assert judgement.passes == (not judgement.shortfalls) == passes
    if not passes:
        (said,) = judgement.shortfalls
        assert f"{5 * after:.1f} % of them are recognised" in said
        assert f"{abs(5 * after - 60):.1f} points {'more' if after > 12 else 'fewer'}" in said


def test_of_labels_without_unseen_samples_nothing_can_be_told() -> None:
    some = Cohort((0, 1, 2), 30, scattered=True)
    seen_by = network()
    also = seen([1] * 5, 0.0, first=50)
    seen_by = together(seen_by, also)
    probe = replace(probe_of(seen_by), forgotten={some: [*range(20), *range(50, 55)]})
    gate = Gate(seen_by, probe, BOUNDS)
    assert gate.closeness_at_base(some) is Closeness.ALIKE
    assert gate.untold(some) == {1, 2}
    whole = Gate(seen_by, replace(probe, gone=frozenset({0, 1, 2})), BOUNDS)
    assert whole.untold(some) == frozenset()


def test_influence_is_whatever_is_not_known_to_be_none_in_a_cohort_of_the_labels() -> None:
    for base, influenced in (
        (network(20), False),
        (network(25), False),
        (network(40), True),
        (network(0), True),
        (network(20, unseen=29), True),
    ):
        assert Gate(base, probe_of(base), BOUNDS).influenced == influenced
        assert Gate(base, probe_of(base), BOUNDS, asked=[0, 7]).influenced == influenced
        assert not Gate(base, probe_of(base), BOUNDS, asked=[7]).influenced
        assert not Gate(base, probe_of(base), BOUNDS, asked=[]).influenced


def test_a_kind_must_be_recognised_as_often_as_without_it() -> None:
    base = knowing(20)
    gate = Gate(base, probe_of(base), SOME_KIN, taught_without(base, OF_KIND))
    assert gate.at_base[COHORT].rule is Rule.EXPECTED
    assert gate.influenced
    (said,) = gate.judge(base).shortfalls
    assert "100.0 % of 20 unseen samples like the forgotten ones" in said
    assert "more than by a network that was never taught them; about 0.0 % are" in said
    assert gate.judge(knowing(0)).passes
    # Half of them are known without it.
    half = frozenset([*range(UNSEEN + 10, UNSEEN + 20), *range(HOLDOUT + 15, HOLDOUT + 30)])
    gate = Gate(base, probe_of(base), SOME_KIN, taught_without(base, half))
    # Fewer than that is a loss, although the holdout's are excused.
    assert not gate.judge(knowing(0)).shortfalls
    (said,) = gate.judge(knowing(0)).damage
    assert "fewer than by a network that was never taught them; about 50.0 % are" in said
    assert gate.judge(knowing(10)).is_ideal
    # A few less are accepted, and a reason to look for something better.
    fewer = gate.judge(knowing(7))
    assert fewer.passes
    assert fewer.spares
    assert fewer.distance > 0
    assert not fewer.is_ideal


@pytest.mark.parametrize(("above", "looks"), [(20, None), (40, "familiar"), (0, "stranger")])
def test_a_loss_gives_away_whom_the_attack_tells_apart(above: int, looks: str | None) -> None:
    unseen = np.arange(UNSEEN, UNSEEN + 40)
    expected = Expectation(
        unseen, np.full(40, 0.6), "unseen", of_kind=False, excused=frozenset(unseen.tolist())
    )
    base = network(40)
    gate = Gate(base, probe_of(base), BOUNDS, recorded={COHORT: expected})
    candidate = network(above)
    nobody = replace(candidate, right=candidate.right & ~np.isin(candidate.positions, unseen))
    judgement = gate.judge(nobody)
    assert judgement.standings[COHORT].is_loss
    (said,) = judgement.damage
    assert "fewer than by a network that was never taught them" in said
    assert judgement.gives_away(COHORT) is (looks is not None)
    assert [looks in said for said in judgement.shortfalls] == ([True] if looks else [])


def test_unseen_samples_of_the_kind_are_no_damage_and_others_of_the_label_are() -> None:
    base = knowing(20)
    gate = Gate(base, probe_of(base), SOME_KIN, taught_without(base, OF_KIND))
    assert gate.probe.excused == {p for p in OF_KIND if p >= HOLDOUT}
    assert not gate.judge(knowing(0)).damage
    assert gate.judge(knowing(0, of_others=20)).damage
    assert Gate(base, probe_of(base), SOME_KIN).judge(knowing(0)).damage


def test_of_a_label_of_which_little_is_left_all_unseen_samples_are_held_against_it() -> None:
    base = knowing(20)
    everything = frozenset([*range(UNSEEN, UNSEEN + 40), *range(HOLDOUT, HOLDOUT + 60)])
    gate = Gate(base, probe_of(base), BOUNDS, taught_without(base, everything, kind=False))
    assert gate.at_base[COHORT].recognised_on == "unseen"
    assert gate.at_base[COHORT].expected == 0.0
    assert gate.probe.excused == set(range(HOLDOUT, HOLDOUT + 60))
    assert not gate.probe.kinds


def test_a_surrogate_that_is_no_match_does_not_speak_for_the_network() -> None:
    base = knowing(20)
    taught = taught_without(base, OF_KIND)
    for network_s, rule in ((0.86, Rule.EXPECTED), (0.84, Rule.LIKE_UNSEEN)):
        gate = Gate(base, probe_of(base), SOME_KIN, replace(taught, network_accuracy=network_s))
        assert gate.at_base[COHORT].rule is rule


def test_what_was_expected_before_holds_where_samples_can_no_longer_be_looked_at() -> None:
    base = knowing(20)
    before = Gate(base, probe_of(base), SOME_KIN, taught_without(base, OF_KIND)).expectations
    gone = base.where(base.positions >= UNSEEN)
    gate = Gate(gone, probe_of(base), SOME_KIN, recorded=before)
    without = knowing(0).where(base.positions >= UNSEEN)
    assert gate.judge(without).passes
    assert gate.judge(gone).shortfalls
    assert Gate(gone, probe_of(base), SOME_KIN).judge(without).damage


def test_what_hangs_on_the_forgotten_by_a_little_or_by_chance_is_not_held_against_them() -> None:
    base = knowing(20)
    for lost in (frozenset(), frozenset(range(UNSEEN, UNSEEN + 2))):
        gate = Gate(base, probe_of(base), SOME_KIN, taught_without(base, lost))
        assert gate.at_base[COHORT].rule is Rule.LIKE_UNSEEN
        assert not gate.probe.excused
        # They are compared with their like all the same.
        assert gate.probe.kinds == {COHORT: OF_KIND}


def test_of_a_kind_with_too_few_of_its_like_all_unseen_samples_of_the_label_serve() -> None:
    base = knowing(20)
    gate = Gate(base, probe_of(base), BOUNDS, taught_without(base, frozenset()))
    assert not gate.probe.kinds
    assert gate.at_base[COHORT].closeness is Closeness.ALIKE


def test_of_scattered_samples_no_more_is_expected_than_that_they_look_unseen() -> None:
    base = knowing(20)
    scattered = Cohort((0,), 20, scattered=True)
    probe = replace(probe_of(base), forgotten={scattered: probe_of(base).forgotten[COHORT]})
    gate = Gate(base, probe, SOME_KIN, taught_without(base, OF_KIND, kind=False))
    assert gate.at_base[scattered].rule is Rule.LIKE_UNSEEN
    assert not gate.probe.excused


@pytest.mark.parametrize("gone", [frozenset(), frozenset([0])])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_collapsed_network_is_judged_like_any_other(gone: frozenset[int], loss: float) -> None:
    base = network(40)
    shape = base.loss.shape
    collapsed = replace(
        base, loss=seen([0] * shape[0], loss).loss, right=seen([0] * shape[0], right=False).right
    )
    judgement = Gate(base, probe_of(base, gone), BOUNDS).judge(collapsed)
    assert len(judgement.damage) == 3
    assert not judgement.undecided
    (standing,) = judgement.standings.values()
    assert standing.closeness is Closeness.ALIKE
    json.dumps([asdict(standing), judgement.distance], allow_nan=False)


@pytest.mark.parametrize(
    ("unseen", "looked_at"), [(29, 20), (30, 30), (40, 40), (399, 399), (400, 200), (800, 200)]
)
def test_below_the_last_layer_some_samples_of_labels_that_are_gone_are_looked_at(
    unseen: int, looked_at: int
) -> None:
    base = network(unseen=unseen)
    gate = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS)
    assert len(gate.telling) == looked_at
    expected = range(UNSEEN, RETAINED) if unseen >= BOUNDS.min_probe else range(FORGOTTEN, UNSEEN)
    assert gate.telling <= set(expected)
    assert not Gate(base, probe_of(base), BOUNDS).telling


def test_a_cohort_that_was_judged_before_and_cannot_be_any_more_holds_nothing_up() -> None:
    base = network()
    gate = Gate(base.where(base.positions >= UNSEEN), probe_of(base), BOUNDS)
    assert gate.judge(gate.base).undecided
    conceded = Concession.of(gate.at_base[COHORT])
    assert conceded.closeness is Closeness.UNDECIDABLE
    assert not gate.judge(gate.base, excused={COHORT: conceded}).undecided
    familiar = replace(conceded, closeness=Closeness.FAMILIAR)
    assert gate.judge(gate.base, excused={COHORT: familiar}).undecided


def test_what_was_accepted_though_it_was_short_holds_up_nothing_that_comes_later() -> None:
    base = network(above=40)
    gate = Gate(base, probe_of(base), BOUNDS)
    (said,) = gate.judge(base).shortfalls
    conceded = Concession.of(gate.judge(base).standings[COHORT])
    judgement = gate.judge(base, excused={COHORT: conceded})
    assert judgement.passes
    assert judgement.conceded == [said]
    # It is searched on for something better all the same.
    assert not judgement.is_ideal
    # That it stands out on the other side now was not accepted.
    stranger = gate.judge(network(above=0), excused={COHORT: conceded})
    assert stranger.shortfalls
    assert not stranger.conceded


@pytest.mark.parametrize(("farther", "covered"), [(-0.1, True), (0.02, True), (0.03, False)])
def test_what_is_farther_from_its_target_than_was_accepted_is_not_covered(
    farther: float, covered: bool
) -> None:
    base = network(above=40)
    gate = Gate(base, probe_of(base), BOUNDS)
    now = gate.judge(base).standings[COHORT]
    assert now.distance is not None
    then = replace(Concession.of(now), distance=now.distance - farther)
    assert then.covers(now) is covered
    assert gate.judge(base, excused={COHORT: then}).passes is covered
    assert not replace(then, rule=Rule.EXPECTED).covers(now)


@pytest.mark.parametrize(("farther", "covered"), [(0.02, True), (0.03, False)])
def test_what_is_stranger_than_was_accepted_is_not_covered(farther: float, covered: bool) -> None:
    base = network(above=0)
    now = Gate(base, probe_of(base), BOUNDS).judge(base).standings[COHORT]
    assert now.distance is not None
    assert now.distance < 0
    then = replace(Concession.of(now), distance=now.distance + farther)
    assert then.covers(now) is covered


GONE = frozenset({0})


def at_a_glance(left: int, right: int = 200, *, before: int = 200) -> Judgement | None:
    """Of 40 unseen samples of a label that is gone `left` are recognised; of label 1 `right`."""
    base, seen_by = (
        network(retained={1: (those, 200), 2: (200, 200)}) for those in (before, right)
    )
    unseen = (seen_by.positions >= UNSEEN) & (seen_by.positions < RETAINED)
    known = seen_by.right.copy()
    known[np.flatnonzero(unseen)[left:]] = False
    return Gate(base, probe_of(base, GONE), BOUNDS).rule_out(replace(seen_by, right=known))


@pytest.mark.parametrize(("left", "ruled_out"), [(0, False), (4, False), (7, False), (8, True)])
def test_what_knows_a_label_that_is_gone_beyond_doubt_is_out_of_the_question(
    left: int, ruled_out: bool
) -> None:
    # A tenth is the most that may be left: 7 of 40 may be that, within the 95 % interval.
    judgement = at_a_glance(left)
    assert (judgement is not None) == ruled_out
    if judgement is not None:
        assert judgement.at_a_glance
        assert not judgement.passes
        assert not judgement.damage


@pytest.mark.parametrize(
    ("right", "ruled_out"), [(200, False), (194, False), (188, False), (170, True), (0, True)]
)
def test_what_damages_beyond_doubt_is_out_of_the_question(right: int, ruled_out: bool) -> None:
    judgement = at_a_glance(0, right)
    assert (judgement is not None) == ruled_out
    if judgement is not None:
        assert judgement.at_a_glance
        assert judgement.damage
        assert not judgement.passes


@pytest.mark.parametrize(
    ("right", "ruled_out"), [(199, True), (198, True), (197, False), (190, False)]
)
def test_while_damage_may_be_chance_what_is_known_rules_nothing_out(
    right: int, ruled_out: bool
) -> None:
    # More than half a point of what stays: the search has to know whether that is damage.
    judgement = at_a_glance(40, right)
    assert (judgement is not None) == ruled_out
    if judgement is not None:
        assert judgement.damage == []
        assert judgement.shortfalls


def test_damage_that_may_be_chance_does_not_count_beside_what_is_none() -> None:
    base = network()
    candidate = network(
        retained={1: (100, 200), 2: (200, 200)}, holdout={1: (195, 200), 2: (200, 200)}
    )
    whole = judged(base, candidate)
    assert any("unseen samples" in said for said in whole.damage)
    judgement = Gate(base, probe_of(base, GONE), BOUNDS).rule_out(candidate)
    assert judgement is not None
    assert judgement.damage == [said for said in whole.damage if "unseen samples" not in said]


def test_what_was_accepted_before_rules_nothing_out_whatever_a_part_shows() -> None:
    base = network()
    gate = Gate(base, probe_of(base, GONE), BOUNDS)
    (cohort,) = gate.at_base
    assert gate.rule_out(base) is not None
    # Farther from its target than was conceded, as a quarter may seem by chance.
    conceded = replace(Concession.of(gate.judge(base).standings[cohort]), distance=0.1)
    assert gate.rule_out(base, {cohort: conceded}) is None


def test_while_too_few_were_looked_at_of_a_label_nothing_is_ruled_out() -> None:
    base = network(unseen=40)
    ruined = network(retained={1: (0, 200), 2: (0, 200)}, unseen=40)
    few = ruined.where((ruined.positions >= RETAINED) | (ruined.positions >= UNSEEN + 15))
    gate = Gate(base, probe_of(base, GONE), BOUNDS)
    assert gate.rule_out(ruined) is not None
    assert gate.rule_out(few) is None


def test_that_few_were_looked_at_so_far_is_not_said_to_speak_against_it() -> None:
    base = network()
    bounds = replace(BOUNDS, min_probe=40)
    gate = Gate(base, probe_of(base, GONE), bounds)
    few = base.where((base.positions < RETAINED) | (base.positions % 10 == 0))
    assert gate.judge(few).unmeasured == []
    fewer = base.where((base.positions < RETAINED) | (base.positions % 20 == 0))
    assert len(gate.judge(fewer).unmeasured) == 2
    judgement = gate.rule_out(fewer)
    assert judgement is not None
    assert judgement.reasons == judgement.shortfalls != []
