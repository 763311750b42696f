"""What a calibration says of its runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchmarks.experiments.outcomes import Run, runs_of, summarise
from benchmarks.experiments.runs import Measured
from benchmarks.experiments.tasks import Kind


def accuracies(retained: float, forgotten: float) -> dict[str, Any]:
    return {"retained": retained, "forgotten": forgotten}


GRID = [
    {"alpha": 1.0, "lambda": 1.0, **accuracies(0.90, 0.0)},
    {"alpha": 9.0, "lambda": 0.5, **accuracies(0.90, 0.0)},
    {"alpha": 99.0, "lambda": 1.0, **accuracies(0.90, 0.8)},
]


def run(decision: str, retained: float, grid: Sequence[Mapping[str, float]] = GRID) -> Run:
    cells = {
        "base": accuracies(0.90, 0.80),
        "retrained": {**accuracies(0.92, 0.0), "seconds": 50.0},
        "auto": {
            **accuracies(retained, 0.01),
            "notes": {"decision": decision, "request_seconds": 2.0},
        },
        "grid": {"points": grid},
    }
    (found,) = runs_of(
        Measured(Kind.CLASS, "class 3", method, 0, cell) for method, cell in cells.items()
    )
    return found


def test_the_distance_is_the_sum_of_both_differences_in_points() -> None:
    found = run("published", 0.895)
    assert found.outcomes["auto"].distance == pytest.approx(3.5)
    assert found.behind("auto") == pytest.approx(1.5)
    assert found.cost("auto") == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("retained", "short", "shorter"), [(0.895, 3.5, 1.5), (0.92, 1.0, -1.0), (0.95, 1.0, -1.0)]
)
def test_to_retain_more_than_retraining_does_is_no_shortfall(
    retained: float, short: float, shorter: float
) -> None:
    found = run("published", retained)
    assert found.outcomes["auto"].short == pytest.approx(short)
    assert found.shorter("auto") == pytest.approx(shorter)
    counted = summarise([found])["auto"]["within_a_point_of_the_least_short"]
    assert counted == (shorter <= 1)


def test_of_equally_near_settings_the_gentlest_is_the_optimum() -> None:
    optimum = run("published", 0.9).optimum
    assert optimum is not None
    assert (optimum.selection, optimum.strength) == (9.0, 0.5)


def test_the_harmless_optimum_is_of_settings_that_have_not_collapsed_themselves() -> None:
    harmless = {"alpha": 9.0, "lambda": 1.0, **accuracies(0.90, 0.3)}
    ruinous = {"alpha": 1.0, "lambda": 1.0, **accuracies(0.8899, 0.0)}
    found = run("published", 0.895, [harmless, ruinous])
    assert found.optimum is not None
    assert found.harmless_optimum is not None
    assert found.optimum.accuracies.retained == 0.8899
    assert found.harmless_optimum.accuracies.forgotten == 0.3
    assert found.behind("auto", harmless=True) == pytest.approx(3.5 - 32.0)
    counted = summarise([found])["auto"]
    assert counted["within_a_point_of_the_harmless_optimum"] == 1
    assert counted["farthest_behind_the_harmless_optimum"] == pytest.approx(3.5 - 32.0)


def test_where_every_setting_collapses_none_is_harmless() -> None:
    found = run("published", 0.895, [{"alpha": 1.0, "lambda": 1.0, **accuracies(0.5, 0.0)}])
    assert found.optimum is not None
    assert found.harmless_optimum is None
    assert found.behind("auto", harmless=True) is None
    assert summarise([found])["auto"]["farthest_behind_the_harmless_optimum"] is None


def test_what_is_held_back_has_not_collapsed_however_far_it_fell() -> None:
    published, held = run("published", 0.88), run("needs_review", 0.88)
    assert published.outcomes["auto"].collapsed
    assert held.outcomes["auto"].damaged
    assert not held.outcomes["auto"].collapsed
    found = summarise([published, held])["auto"]
    assert (found["runs"], found["collapsed"], found["held"], found["damaged"]) == (2, 1, 1, 2)


def test_a_fall_of_one_point_is_no_collapse() -> None:
    assert not run("published", 0.89).outcomes["auto"].collapsed
