"""Which weights are selected, and what that does, as tables and as a picture."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.experiments.runs import Measured
from benchmarks.experiments.store import Cell
from benchmarks.tools import results

# Which sums stand for the retained samples: their own, or those of all samples.
VARIANTS = {"difference": "exact", "full": "full sums"}
COLUMNS = 3

# What is measured → task → the cells of all seeds.
Grouped = Mapping[str, Mapping[str, Sequence[Cell]]]


def _grouped(measured: Iterable[Measured]) -> Grouped:
    grouped: dict[str, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for each in measured:
        grouped[each.method][each.task].append(each.cell)
    return grouped


def _mean(values: Iterable[float | None]) -> float:
    """Of those that there are; NaN if there are none, which is not drawn."""
    present = [value for value in values if value is not None]
    return statistics.fmean(present) if present else math.nan


def _over_alpha(cells: Sequence[Cell], *path: str) -> tuple[list[float], list[float]]:
    """Every α, and per cent of what lies at `path`, the mean over seeds."""

    def at(point: Any) -> float | None:
        for key in path:
            point = point[key]
        value: float | None = point
        return value

    points = list(zip(*(cell["points"] for cell in cells), strict=True))
    return [of_seeds[0]["alpha"] for of_seeds in points], [
        100 * _mean(map(at, of_seeds)) for of_seeds in points
    ]


def _shares(cells: Sequence[Cell], how: str) -> dict[str, float]:
    """Of each layer, per cent of its weights that are dampened, the mean over seeds."""
    return {
        layer: 100 * _mean(each[how][layer]["dampened"] / counts["weights"] for each in cells)
        for layer, counts in cells[0][how].items()
    }


def show(measured: Iterable[Measured], console: Console) -> None:
    """Print the planted class, the layers, and accuracies over α."""
    grouped = _grouped(measured)
    for cells in grouped["planted"].values():
        _show_planted(cells, console)
    _show_layers(grouped["layers"], console)
    _show_alpha(grouped["alpha"], console)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def _show_planted(cells: Sequence[Cell], console: Console) -> None:
    figures = ("precision", "recall", "forgotten")
    columns = [f"{figure}\n{how}" for how in VARIANTS.values() for figure in figures]
    table = _table("planted class, per cent", ["α", *columns])
    curves = [_over_alpha(cells, variant, each) for variant in VARIANTS for each in figures]
    for place, selection in enumerate(curves[0][0]):
        table.add_row(_alpha(selection), *(_text(values[place]) for _, values in curves))
    console.print(table)
    used, base = _mean(cell["used"] for cell in cells), [cell["base"] for cell in cells]
    console.print(
        f"Before: {100 * _mean(each['forgotten'] for each in base):.1f} % of the planted class, "
        f"{100 * _mean(each['retained'] for each in base):.1f} % of the others. Of the planted "
        f"weights {100 * used:.1f} % have any importance; recall cannot exceed that. "
        "Full sums are those of all samples, in place of the retained ones."
    )


def _show_layers(by_task: Mapping[str, Sequence[Cell]], console: Console) -> None:
    for how in ("adaptive", "published"):
        shares = {task: _shares(cells, how) for task, cells in by_task.items()}
        table = _table(f"dampened by the {how} α, per cent of the layer", ["layer", *shares])
        for layer in next(iter(shares.values())):
            table.add_row(layer, *(f"{of_task[layer]:.2f}" for of_task in shares.values()))
        console.print(table)


def _show_alpha(by_task: Mapping[str, Sequence[Cell]], console: Console) -> None:
    columns = [f"{figure}\n{task}" for task in by_task for figure in ("retained", "forgotten")]
    table = _table("accuracy over α, λ = 1, per cent", ["α", *columns])
    curves = [
        _over_alpha(cells, figure)
        for cells in by_task.values()
        for figure in ("retained", "forgotten")
    ]
    for place, selection in enumerate(curves[0][0]):
        table.add_row(_alpha(selection), *(_text(values[place]) for _, values in curves))
    console.print(table)


def _alpha(selection: float) -> str:
    return f"{selection:.2f}" if selection < 10 else f"{selection:.0f}"


def _text(per_cent: float) -> str:
    return "-" if math.isnan(per_cent) else f"{per_cent:.1f}"


def draw(name: str, measured: Iterable[Measured]) -> Path:
    """Precision and recall, what that does, layers, and a panel for each task over α."""
    grouped = _grouped(measured)
    (planted,) = grouped["planted"].values()
    rows = math.ceil((COLUMNS + len(grouped["alpha"])) / COLUMNS)
    with results.panels(name, COLUMNS, rows=rows, size=(5, 4)) as axes:
        panels = axes.flatten()
        _draw_planted(panels[0], planted, ("precision", "recall"))
        _draw_planted(panels[1], planted, ("retained", "forgotten"))
        _draw_layers(panels[2], grouped["layers"])
        rest = panels[COLUMNS:]
        for panel, (task, cells) in zip(rest, grouped["alpha"].items(), strict=False):
            _draw_alpha(panel, task, cells)
        for panel in rest[len(grouped["alpha"]) :]:
            panel.set_visible(False)
    return results.picture(name)


def _draw_planted(panel: Any, cells: Sequence[Cell], figures: Sequence[str]) -> None:
    for variant, colour in zip(VARIANTS, ("C0", "C1"), strict=True):
        for figure, style in zip(figures, ("-", "--"), strict=True):
            alphas, values = _over_alpha(cells, variant, figure)
            panel.plot(alphas, values, style, color=colour, label=f"{figure}, {VARIANTS[variant]}")
    _over(panel, "planted class")


def _draw_layers(panel: Any, by_task: Mapping[str, Sequence[Cell]]) -> None:
    for task, cells in by_task.items():
        shares = _shares(cells, "adaptive")
        panel.plot(list(shares), list(shares.values()), "o-", label=task, fillstyle="none")
    panel.tick_params(axis="x", rotation=90, labelsize=6)
    panel.set_ylabel("% of the layer's weights")
    panel.set_title("dampened by the adaptive α")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)


def _draw_alpha(panel: Any, task: str, cells: Sequence[Cell]) -> None:
    for figure in ("retained", "forgotten"):
        panel.plot(*_over_alpha(cells, figure), ".-", label=figure)
    for cell in cells:
        for selection in cell["adaptive"].values():
            panel.axvline(selection, color="grey", linestyle=":", linewidth=1)
    _over(panel, f"{task} (dotted: the adaptive α)")


def _over(panel: Any, title: str) -> None:
    panel.set_xscale("log")
    panel.set_ylim(-3, 103)
    panel.set_xlabel("α")
    panel.set_ylabel("%")
    panel.set_title(title)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)
