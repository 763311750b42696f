"""From cells to a table."""

import pytest

from benchmarks.experiments.runs import Measured
from benchmarks.experiments.summary import TITLES, summarise
from benchmarks.experiments.tasks import Kind


def cell(task: str, seed: int, value: float) -> Measured:
    figures = {**dict.fromkeys(TITLES, value), "forgotten_test": None}
    return Measured(Kind.CLASS, task, "retrain", seed, {"figures": figures, "notes": {}})


def test_labels_are_averaged_within_a_seed_and_seeds_give_the_spread() -> None:
    found = summarise([cell("class 3", 0, 0.1), cell("class 8", 0, 0.3), cell("class 3", 1, 0.4)])[
        "class"
    ]["retrain"]
    assert found["forgotten"]["by_seed"] == pytest.approx({0: 0.2, 1: 0.4})
    assert found["forgotten"]["mean"] == pytest.approx(0.3)
    assert found["forgotten"]["deviation"] == pytest.approx(0.2 / 2**0.5)
    assert found["forgotten_test"] is None


def test_one_seed_has_no_spread() -> None:
    found = summarise([cell("class 3", 0, 0.1)])["class"]["retrain"]
    assert found["forgotten"]["deviation"] is None
