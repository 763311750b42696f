"""What becomes of what the gate has found: a cost, a candidate that is ideal, a decision."""

from dataclasses import replace

import numpy as np
import pytest

from models.documents import Closeness, Decision, Rule
from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.probes import COHORT, UNSEEN, judged, network, probe_of
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.gating.damage import Fall, Falls
from workers.unlearning.gating.judgement import Judgement, decide


@pytest.mark.parametrize(
    ("large", "small", "holdout", "ideal"),
    [
        # Half a point over all labels, on either probe, and two points of one label.
        (895, 100, 1000, True),
        (894, 100, 1000, False),
        (900, 100, 995, True),
        (900, 100, 994, False),
        (900, 98, 1000, True),
        (900, 97, 1000, False),
    ],
)
def test_what_passes_is_ideal_if_hardly_anything_is_lost(
    large: int, small: int, holdout: int, ideal: bool
) -> None:
    base = network(retained={1: (900, 900), 2: (100, 100)}, holdout={1: (1000, 1000)})
    after = network(retained={1: (large, 900), 2: (small, 100)}, holdout={1: (holdout, 1000)})
    judgement = judged(base, after)
    assert judgement.passes
    assert judgement.is_ideal == judgement.spares == ideal
    lost = max(1000 - large - small, 1000 - holdout)
    assert judgement.cost == pytest.approx(lost / 1000)


@pytest.mark.parametrize(("left", "ideal"), [(0, True), (1, True), (2, False)])
def test_of_a_label_that_is_gone_hardly_anything_may_be_left(left: int, ideal: bool) -> None:
    base = network(unseen=200)
    gate = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS)
    recognised = np.isin(base.positions, range(UNSEEN, UNSEEN + left))
    judgement = gate.judge(replace(base, right=recognised | (base.labels != 0)))
    assert judgement.passes
    assert judgement.is_ideal == ideal
    assert judgement.cost == pytest.approx(left / 200)


@pytest.mark.parametrize(
    ("count", "lost", "cost"),
    [(10, 0, 0.0), (10, 1, 0.001), (10, 2, 0.1), (10, 4, 0.3), (100, 5, 0.005), (100, 7, 0.02)],
)
def test_a_small_label_is_not_lost_for_the_others_good(count: int, lost: int, cost: float) -> None:
    base = network(retained={1: (1000 - count, 1000 - count), 2: (count, count)})
    after = network(retained={1: (1000 - count, 1000 - count), 2: (count - lost, count)})
    judgement = judged(base, after)
    # Four of ten are no chance any more.
    assert judgement.passes == (lost != 4)
    assert judgement.cost == pytest.approx(cost)


def test_what_does_not_pass_is_never_ideal() -> None:
    base = network(40)
    judgement = judged(base, base)
    assert judgement.spares
    assert not judgement.is_ideal
    # Of a label that is left nothing tells how much of the distance is too much.
    assert judgement.cost == 0.0 < judgement.distance


def test_of_labels_that_are_gone_all_that_is_left_adds_up_and_each_must_be_alike() -> None:
    second = Cohort((1,), 20, scattered=False)
    base = network(unseen=200, holdout={1: (400, 400), 2: (400, 400)})
    probe = probe_of(base, gone=frozenset([0, 1]))
    ones = [p for p in probe.holdout if base.labels[base.positions == p] == 1]
    forgotten = {**probe.forgotten, second: probe.forgotten[COHORT]}
    both = replace(probe, forgotten=forgotten, unseen=[*probe.unseen, *ones], num_classes=200)

    def leaving(first: int, other: int) -> Judgement:
        left = [*range(UNSEEN, UNSEEN + first), *ones[:other]]
        right = np.isin(base.positions, left) | (base.labels == 2)
        return Gate(base, both, BOUNDS).judge(replace(base, right=right))

    assert leaving(1, 1).cost == pytest.approx(1 / 200 + 1 / 400)
    # A fifth of what chance would recognise is 0.1 %, and one sample of 200 is more.
    assert leaving(1, 0).passes
    assert not leaving(1, 0).is_ideal
    assert leaving(0, 0).is_ideal


def test_what_cannot_be_told_of_a_label_that_is_gone_is_not_left() -> None:
    base = network(unseen=BOUNDS.min_probe - 1)
    judgement = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS).judge(base)
    (standing,) = judgement.standings.values()
    assert standing.closeness is Closeness.UNDECIDABLE
    assert standing.left == judgement.cost == 0.0


@pytest.mark.parametrize(("left", "shallow"), [(0, False), (1, False), (2, True), (40, True)])
def test_what_is_recognised_with_another_last_layer_is_said_and_holds_nothing_up(
    left: int, shallow: bool
) -> None:
    base = network()
    gate = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS)
    candidate = replace(base, right=base.labels != 0)
    restored = replace(base, right=np.isin(base.positions, range(UNSEEN, UNSEEN + left)))
    judgement = gate.judge(candidate, restored.at(gate.telling))
    assert judgement.passes
    assert judgement.is_ideal
    (estimate,) = judgement.last_layer_restored.values()
    assert (estimate.value, estimate.count) == (left / 40, 40)
    assert judgement.left_below == (left / 40 if shallow else 0.0)
    assert (COHORT in judgement.shallow) == shallow
    assert not gate.judge(candidate).last_layer_restored


def test_a_rise_makes_up_for_nothing() -> None:
    base = network(retained={1: (150, 200), 2: (200, 200)}, holdout={1: (200, 200)})
    judgement = judged(
        base, network(retained={1: (200, 200), 2: (194, 200)}, holdout={1: (200, 200)})
    )
    assert judgement.falls.retained == Fall(0.875, 0.985, 400, lost=6, gained=50)
    assert judgement.cost == pytest.approx(6 / 400)
    assert not judgement.is_ideal


@pytest.mark.parametrize("influenced", [False, True])
@pytest.mark.parametrize("best_effort", [False, True])
def test_what_follows_from_a_judgement(influenced: bool, best_effort: bool) -> None:
    def follows(damage: int = 0, unmeasured: int = 0, short: int = 0, open_: int = 0) -> Decision:
        lists = (["damage"] * damage, ["?"] * unmeasured, ["short"] * short, ["?"] * open_)
        judgement = Judgement({}, Falls(None, {}, None), False, *lists)
        assert judgement.passes == (damage + unmeasured + short + open_ == 0)
        return decide(judgement, influenced=influenced, best_effort=best_effort)

    assert follows() == (Decision.PUBLISHED if influenced else Decision.NO_DETECTABLE_INFLUENCE)
    assert follows(damage=1) is follows(unmeasured=1) is Decision.NEEDS_REVIEW
    not_shown = Decision.PUBLISHED_SHORT if best_effort else Decision.NEEDS_REVIEW
    for short, open_ in ((1, 0), (0, 1), (1, 1)):
        assert follows(short=short, open_=open_) is not_shown
        assert follows(damage=1, short=short, open_=open_) is Decision.NEEDS_REVIEW
        assert follows(unmeasured=1, short=short, open_=open_) is Decision.NEEDS_REVIEW


def test_what_is_no_forgetting_any_more_gives_nobody_away() -> None:
    judgement = judged(network(40), network(40))
    (standing,) = judgement.standings.values()
    assert judgement.gives_away(COHORT)
    lost = replace(standing, rule=Rule.EXPECTED, closeness=Closeness.CONSPICUOUS)
    assert not replace(judgement, standings={COHORT: lost}).gives_away(COHORT)
    strange = replace(lost, rule=Rule.LIKE_UNSEEN)
    assert replace(judgement, standings={COHORT: strange}).gives_away(COHORT)
