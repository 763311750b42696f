"""A calibration as a table and as a picture."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.experiments.outcomes import GRID, Outcome, Run, accuracies_of
from benchmarks.experiments.runs import Measured
from benchmarks.experiments.tasks import Kind
from benchmarks.tools import results

AUTO = "auto"
OPTIMUM = "grid optimum"
MARKERS = {AUTO: "o", "adaptive": "x", "published": "s", OPTIMUM: "D"}
SMALLEST_DISTANCE = 0.1


def show(runs: Sequence[Run], summary: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    """Print every run, then every method."""
    table = Table(
        title="distance from retraining, in points",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("task", no_wrap=True)
    for column in ("seed", *summary, "grid", "behind", "forgotten", "below", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(*_row(run))
    console.print(table)
    console.print(
        "* held back by the gate, ! collapsed. Grid: the optimum; behind: auto's distance from "
        "it. Forgotten: per cent that auto's candidate recognises, and a retrained network; below: "
        "with the base's last layer put back. "
        "Time: auto's request, per cent of retraining."
    )
    for method, found in summary.items():
        console.print(_sentence(method, found))


def _row(run: Run) -> list[str]:
    behind, forgotten = run.behind(AUTO), run.outcomes[AUTO].accuracies.forgotten
    restored = run.outcomes[AUTO].notes.get("last_layer_restored")
    return [
        run.kind if run.kind == Kind.RANDOM else run.task,
        str(run.seed),
        *(f"{each.distance:.1f}{_mark(each)}" for each in run.outcomes.values()),
        f"{run.optimum.distance:.1f}" if run.optimum else "-",
        "-" if behind is None else f"{behind:+.1f}",
        f"{100 * forgotten:.0f} ({100 * run.retrained.forgotten:.0f})",
        "-" if restored is None else f"{100 * restored:.0f}",
        f"{100 * run.cost(AUTO):.0f}",
    ]


def _mark(outcome: Outcome) -> str:
    if outcome.held:
        return "*"
    return "!" if outcome.collapsed else " "


def _sentence(method: str, found: Mapping[str, Any]) -> str:
    worst = found["worst_distance_published"]
    published = "none was published" if worst is None else f"{worst:.1f} of those published"
    restored = found["classes_recognised_with_last_layer_restored"]
    below = (
        ""
        if restored is None
        else f" Of classes {100 * restored:.0f} % are recognised with the base's last layer."
    )
    return (
        f"{method}: of {found['runs']} runs {found['collapsed']} collapsed and {found['held']} "
        f"were held back ({found['damaged']} candidates fell by more than a point). Worst "
        f"distance {found['worst_distance']:.1f}, {published}.{_on_grid(found)}{below} At most "
        f"{100 * found['largest_share_of_retraining_seconds']:.1f} % of the time of retraining."
    )


def _on_grid(found: Mapping[str, Any]) -> str:
    behind, harmless = (
        found[f"farthest_behind_the_{which}"] for which in ("optimum", "harmless_optimum")
    )
    if behind is None:
        return ""
    sentence = (
        f" Within a point of the grid's optimum in {found['within_a_point_of_the_optimum']} of "
        f"{found['grid_runs']}, {behind:+.1f} at worst; in "
        f"{found['within_a_point_of_the_least_short']} if more retained accuracy than retraining "
        "has is no distance."
    )
    if harmless is None:
        return sentence
    return (
        f"{sentence} Of its optimum among settings that lose no more than a point in "
        f"{found['within_a_point_of_the_harmless_optimum']}, {harmless:+.1f} at worst."
    )


def draw(name: str, runs: Sequence[Run], measured: Iterable[Measured]) -> Path:
    """Distances of all runs, and the first seed's grid of each task that has one."""
    grids: dict[str, Measured] = {}
    for each in measured:
        if each.method == GRID:
            grids.setdefault(each.task, each)
    with results.panels(name, 1 + len(grids), size=(4.5, 4)) as axes:
        _draw_distances(axes[0][0], runs)
        for panel, grid in zip(axes[0][1:], grids.values(), strict=True):
            run = next(each for each in runs if (each.task, each.seed) == (grid.task, grid.seed))
            _draw_grid(panel, run, grid)
    return results.picture(name)


def _draw_distances(panel: Any, runs: Sequence[Run]) -> None:
    names = list(dict.fromkeys(run.task for run in runs))
    points = {
        method: [(run.outcomes[method].distance, names.index(run.task)) for run in runs]
        for method in runs[0].outcomes
    }
    points[OPTIMUM] = [(run.optimum.distance, names.index(run.task)) for run in runs if run.optimum]
    for method, places in points.items():
        distances = [max(SMALLEST_DISTANCE, distance) for distance, _ in places]
        rows = [row for _, row in places]
        panel.plot(distances, rows, MARKERS[method], label=method, fillstyle="none", alpha=0.8)
    panel.set_xscale("log")
    panel.set_yticks(range(len(names)), names)
    panel.set_xlabel("points from retraining")
    panel.grid(axis="x", alpha=0.3)
    panel.invert_yaxis()
    panel.legend(fontsize=7)


def _draw_grid(panel: Any, run: Run, grid: Measured) -> None:
    points = grid.cell["points"]
    selections = list(dict.fromkeys(point["alpha"] for point in points))
    strengths = list(dict.fromkeys(point["lambda"] for point in points))
    distances = [accuracies_of(point).points_from(run.retrained) for point in points]
    rows = [
        distances[start : start + len(selections)]
        for start in range(0, len(distances), len(selections))
    ]
    mesh = panel.pcolormesh(selections, strengths, rows, cmap="viridis_r", shading="nearest")
    panel.figure.colorbar(mesh, ax=panel, label="points from retraining")
    for setting in run.outcomes[AUTO].notes["settings"].values():
        panel.plot(setting["alpha"], setting["lambda"], "o", color="red", fillstyle="none")
    if run.optimum:
        panel.plot(run.optimum.selection, run.optimum.strength, "D", color="red", fillstyle="none")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("α (circle: auto's, diamond: the optimum)")
    panel.set_ylabel("λ")
    panel.set_title(f"{run.task}, seed {run.seed}")
