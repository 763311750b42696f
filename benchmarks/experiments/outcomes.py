"""From the cells of a calibration to what it says: how near to retraining, and what was decided."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.experiments.figures import Accuracies
from benchmarks.experiments.runs import Measured
from benchmarks.experiments.store import Cell
from models.documents import Decision

# Points that retained test accuracy may lie below the base's; beyond, the network has collapsed.
TOLERANCE = 1.0
# A multiple of a point is no exact binary fraction.
ROUNDING = 1e-9
BASE, RETRAINED, GRID = "base", "retrained", "grid"


@dataclass(frozen=True)
class Outcome:
    """A candidate of one method, and what the gate decides of it.

    `distance` is from retraining, `short` is what it falls short of retraining, and `fall` is
    retained accuracy's since the base, all in points.
    """

    accuracies: Accuracies
    distance: float
    short: float
    fall: float
    decision: Decision
    notes: dict[str, Any]

    @property
    def held(self) -> bool:
        """Whether a person has to decide, and the base stays in service."""
        return self.decision is Decision.NEEDS_REVIEW

    @property
    def damaged(self) -> bool:
        """Whether it falls too far, published or not."""
        return _is_too_far(self.fall)

    @property
    def collapsed(self) -> bool:
        """Whether it falls too far and is published all the same."""
        return self.damaged and not self.held

    def as_json(self) -> dict[str, Any]:
        """What is written of it."""
        flags = {name: getattr(self, name) for name in ("held", "damaged", "collapsed")}
        return {**asdict(self), **flags}


@dataclass(frozen=True)
class Optimum:
    """A setting of the grid, and how near it comes to retraining: the nearest, once chosen."""

    selection: float
    strength: float
    accuracies: Accuracies
    distance: float


@dataclass(frozen=True)
class Run:
    """One task from one seed's base."""

    kind: str
    task: str
    seed: int
    base: Accuracies
    retrained: Accuracies
    retraining_seconds: float
    outcomes: dict[str, Outcome]
    optimum: Optimum | None
    # The same of those settings that lose no more than a candidate may, if there are any.
    harmless_optimum: Optimum | None
    # How little a setting of the grid falls short of retraining, at best.
    least_short: float | None

    def behind(self, method: str, *, harmless: bool = False) -> float | None:
        """How many points farther than the grid's (harmless) optimum the method's candidate is."""
        optimum = self.harmless_optimum if harmless else self.optimum
        return self.outcomes[method].distance - optimum.distance if optimum else None

    def shorter(self, method: str) -> float | None:
        """How many points more than the best of the grid the method's candidate falls short."""
        return None if self.least_short is None else self.outcomes[method].short - self.least_short

    def cost(self, method: str) -> float:
        """A request's seconds as a share of those of retraining."""
        seconds: float = self.outcomes[method].notes["request_seconds"]
        return seconds / self.retraining_seconds

    def as_json(self) -> dict[str, Any]:
        """What is written of it."""
        outcomes = {
            method: {
                **outcome.as_json(),
                "behind_optimum": self.behind(method),
                "behind_harmless_optimum": self.behind(method, harmless=True),
                "shorter_than_the_least": self.shorter(method),
                "share_of_retraining_seconds": self.cost(method),
            }
            for method, outcome in self.outcomes.items()
        }
        return {**asdict(self), "outcomes": outcomes}


def runs_of(measured: Iterable[Measured]) -> list[Run]:
    """One for each task and seed, in their order."""
    grouped: dict[tuple[str, str, int], dict[str, Cell]] = defaultdict(dict)
    for each in measured:
        grouped[each.kind.value, each.task, each.seed][each.method] = each.cell
    return [_run(*place, cells) for place, cells in grouped.items()]


def _run(kind: str, task: str, seed: int, cells: Mapping[str, Cell]) -> Run:
    base, retrained = accuracies_of(cells[BASE]), accuracies_of(cells[RETRAINED])
    optima = _optima(cells[GRID], retrained) if GRID in cells else []
    harmless = [each for each in optima if not _is_too_far(_fall(base, each.accuracies))]

    def outcome(cell: Cell) -> Outcome:
        mine = accuracies_of(cell)
        return Outcome(
            accuracies=mine,
            distance=mine.points_from(retrained),
            short=mine.points_short_of(retrained),
            fall=_fall(base, mine),
            decision=Decision(cell["notes"]["decision"]),
            notes=cell["notes"],
        )

    return Run(
        kind=kind,
        task=task,
        seed=seed,
        base=base,
        retrained=retrained,
        retraining_seconds=cells[RETRAINED]["seconds"],
        outcomes={name: outcome(cell) for name, cell in cells.items() if "notes" in cell},
        optimum=_best(optima),
        harmless_optimum=_best(harmless),
        least_short=_least_short(cells[GRID], retrained) if GRID in cells else None,
    )


def _fall(base: Accuracies, mine: Accuracies) -> float:
    return 100 * (base.retained - mine.retained)


def _is_too_far(fall: float) -> bool:
    return fall > TOLERANCE + ROUNDING


def _optima(cell: Cell, retrained: Accuracies) -> list[Optimum]:
    return [
        Optimum(point["alpha"], point["lambda"], mine, mine.points_from(retrained))
        for point in cell["points"]
        for mine in [accuracies_of(point)]
    ]


def _best(optima: Iterable[Optimum]) -> Optimum | None:
    """Of settings that come equally near, the gentlest."""
    return min(
        optima,
        key=lambda each: (each.distance, -each.selection, -each.strength),
        default=None,
    )


def _least_short(cell: Cell, retrained: Accuracies) -> float:
    return min(accuracies_of(point).points_short_of(retrained) for point in cell["points"])


def accuracies_of(cell: Cell) -> Accuracies:
    """Those that a cell holds."""
    return Accuracies(cell["retained"], cell["forgotten"])


def summarise(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """Of each method over all runs: counts, and the worst of what it came to."""
    runs = list(runs)
    return {method: _of_method(method, runs) for method in runs[0].outcomes}


def _of_method(method: str, runs: list[Run]) -> dict[str, Any]:
    outcomes = [run.outcomes[method] for run in runs]
    behind = [points for run in runs if (points := run.behind(method)) is not None]
    behind_harmless = [
        points for run in runs if (points := run.behind(method, harmless=True)) is not None
    ]
    restored = [
        share for each in outcomes if (share := each.notes.get("last_layer_restored")) is not None
    ]
    shorter = [points for run in runs if (points := run.shorter(method)) is not None]
    return {
        "runs": len(outcomes),
        "collapsed": sum(each.collapsed for each in outcomes),
        "held": sum(each.held for each in outcomes),
        "damaged": sum(each.damaged for each in outcomes),
        "worst_distance": max(each.distance for each in outcomes),
        "worst_distance_published": max(
            (each.distance for each in outcomes if not each.held), default=None
        ),
        "classes_recognised_with_last_layer_restored": statistics.fmean(restored)
        if restored
        else None,
        "grid_runs": len(behind),
        "within_a_point_of_the_optimum": _within_a_point(behind),
        "farthest_behind_the_optimum": max(behind, default=None),
        "within_a_point_of_the_harmless_optimum": _within_a_point(behind_harmless),
        "farthest_behind_the_harmless_optimum": max(behind_harmless, default=None),
        "within_a_point_of_the_least_short": _within_a_point(shorter),
        "largest_share_of_retraining_seconds": max(run.cost(method) for run in runs),
    }


def _within_a_point(points: Iterable[float]) -> int:
    return sum(each <= 1 + ROUNDING for each in points)
