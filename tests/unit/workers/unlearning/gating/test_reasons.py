"""Why a candidate does not pass: what is still recognised, and what nobody can tell."""

from dataclasses import replace

import pytest

from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.probes import Right, judged, network, probe_of
from workers.unlearning.gate import Gate


def test_a_label_that_is_gone_must_not_be_recognised() -> None:
    base = network()
    gate = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS)
    judgement = gate.judge(base)
    (said,) = judgement.shortfalls
    assert "100.0 % of 40 unseen samples" in said
    assert "at most 10.0 % may be" in said
    assert judgement.distance == pytest.approx(1 - 0.02)
    forgotten = replace(base, right=base.right & (base.labels != 0))
    assert gate.judge(forgotten).passes


def test_what_cannot_be_compared_is_undecided() -> None:
    base = network(unseen=29)
    (said,) = judged(base, base).undecided
    assert "29 samples to compare with" in said
    assert "at least 30" in said


def test_without_unseen_samples_of_a_label_that_is_gone_the_forgotten_are_too_few() -> None:
    base = network(above=0, unseen=0)
    judgement = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS).judge(base)
    (said,) = judgement.undecided
    assert "20 samples looked at" in said


@pytest.mark.parametrize("retained", [{}, {1: (29, 29)}])
def test_a_small_or_empty_retained_probe_tells_no_damage(retained: Right) -> None:
    base = network(retained=retained)
    judgement = judged(base, base)
    (said,) = judgement.unmeasured
    assert f"The retained probe has {29 if retained else 0} samples" in said
    assert not judgement.damage


@pytest.mark.parametrize(("count", "measured"), [(29, False), (30, True)])
def test_a_holdout_that_is_too_small_does_not_tell_the_damage(count: int, measured: bool) -> None:
    base = network(holdout={0: (100, 100), 1: (count, count)})
    judgement = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS).judge(base)
    assert bool(judgement.unmeasured) != measured
    if not measured:
        (said,) = judgement.unmeasured
        assert "labels that are still retained has 29 samples" in said
