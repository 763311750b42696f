"""From courses and strategies to cells: what is kept is skipped, the rest is measured now."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.experiments.placement import device_of
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.runs import progress
from benchmarks.experiments.sequences.course import Course, Strategy
from benchmarks.experiments.sequences.figures import measure
from benchmarks.experiments.store import Cell, Store
from benchmarks.tools.timing import clock_of

# Figures are taken after these requests.
SHOWN = (1, 2, 5, 10, 15, 20)


@dataclass(frozen=True)
class Measured:
    """A cell and its place in the table."""

    scenario: str
    strategy: str
    seed: int
    cell: Cell


def run(
    course_of: Callable[[str, int], Course],
    *,
    scenarios: list[str],
    strategies: Mapping[str, Strategy],
    seeds: list[int],
    store: Store,
) -> list[Measured]:
    """Every strategy in every scenario, seed by seed, showing how far it is.

    A course is made for each cell that is missing, so that no strategy profits from another.
    """
    places = [(s, scenario, name) for s in seeds for scenario in scenarios for name in strategies]
    measured = []
    with progress() as shown:
        bar = shown.add_task("", total=len(places))
        for seed, scenario, name in places:
            shown.update(bar, description=f"{scenario}, seed {seed}: {name}")
            cell = store.find(name, scenario, seed)
            if cell is None:
                cell = measured_now(course_of(scenario, seed), strategies[name])
                store.keep(name, scenario, seed, cell)
            measured.append(Measured(scenario, name, seed, cell))
            shown.advance(bar)
    return measured


def measured_now(course: Course, strategy: Strategy) -> Cell:
    """Each request's seconds and notes, and figures after some; or why there are none.

    The seconds are those of the request alone, without what is computed once before the first: a
    processor's.
    """
    try:
        return {"requests": _requests(course, strategy)}
    except NotApplicable as reason:
        return {"not_applicable": str(reason)}


def _requests(course: Course, strategy: Strategy) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    clock = clock_of(device_of(course.network))
    started = clock()
    for version in strategy(course):
        seconds = clock() - started
        if version.request:
            entry = {"request": version.request, "seconds": seconds, **version.notes}
            if version.request in SHOWN:
                figures = measure(version.network, course, version.request)
                entry["figures"] = asdict(figures)
            found.append(entry)
        started = clock()
    return found
