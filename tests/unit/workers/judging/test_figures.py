"""Figures of a verdict: what documents say of a standing."""

from dataclasses import replace

import numpy as np

from models import documents
from tests.unit.workers.unlearning.memorised import BOUNDS
from tests.unit.workers.unlearning.probes import COHORT, UNSEEN, network, probe_of
from workers.judging.figures import standing
from workers.unlearning.gate import Gate


def test_a_standing_by_the_gap_says_so_with_the_gap_and_its_chance() -> None:
    seen_by = network(20)
    right = seen_by.right & ~((seen_by.positions >= UNSEEN) & (seen_by.positions < UNSEEN + 20))
    base = replace(seen_by, right=np.asarray(right))
    found = standing(Gate(base, probe_of(base), BOUNDS).at_base[COHORT])
    assert found.by_gap
    assert found.gap is not None
    assert (found.gap.gap, found.gap.count) == (0.5, 20)
    assert 0 < found.gap.chance < 0.001
    assert documents.Standing.model_validate(found.as_json()) == found


def test_verdicts_from_before_there_was_a_gap_are_read() -> None:
    base = network(40)
    older = standing(Gate(base, probe_of(base), BOUNDS).at_base[COHORT]).as_json()
    del older["gap"], older["by_gap"]
    read = documents.Standing.model_validate(older)
    assert (read.gap, read.by_gap) == (None, False)
