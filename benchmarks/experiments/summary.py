"""From cells to a table: means over seeds, and how far the seeds differ."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.experiments.runs import Measured

# Figure → title. Shares are printed in per cent, and seconds without their spread.
TITLES = {
    "retained_test": "retained test",
    "forgotten": "forgotten",
    "forgotten_test": "forgotten test",
    "called_members": "called members",
    "loss_auc": "loss AUC",
    "seconds": "seconds",
}

# Group of tasks → method → figure → {"mean", "deviation", "by_seed"}, or "not_applicable" → reason.
Summary = dict[str, dict[str, dict[str, Any]]]


def by_kind(cell: Measured) -> str:
    """The tasks of one kind that a seed has (several labels) count as one, by their mean."""
    return cell.kind.value


def summarise(measured: Iterable[Measured], group: Callable[[Measured], str] = by_kind) -> Summary:
    """Group the cells and take the means of each group's methods."""
    grouped: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    for each in measured:
        grouped[group(each)][each.method].append(each)
    return {
        name: {method: _of_method(cells) for method, cells in methods.items()}
        for name, methods in grouped.items()
    }


def _of_method(cells: Sequence[Measured]) -> dict[str, Any]:
    reasons = [each.cell["not_applicable"] for each in cells if "not_applicable" in each.cell]
    if reasons:
        return {"not_applicable": reasons[0]}
    return {
        **{figure: _of_figure(figure, cells) for figure in TITLES},
        "notes": [
            {"task": each.task, "seed": each.seed, **each.cell["notes"]}
            for each in cells
            if each.cell["notes"]
        ],
    }


def _of_figure(figure: str, cells: Sequence[Measured]) -> dict[str, Any] | None:
    by_seed: dict[int, list[float]] = defaultdict(list)
    for each in cells:
        value = each.cell["figures"][figure]
        if value is not None:
            by_seed[each.seed].append(value)
    if not by_seed:
        return None
    return spread({seed: statistics.fmean(values) for seed, values in by_seed.items()})


def spread(by_seed: dict[int, float]) -> dict[str, Any]:
    """Mean and deviation of one value a seed, or of some."""
    return {
        "mean": statistics.fmean(by_seed.values()),
        # The sample's own; one seed has no spread to speak of.
        "deviation": statistics.stdev(by_seed.values()) if len(by_seed) > 1 else None,
        "by_seed": by_seed,
    }


def show(summary: Summary, console: Console) -> None:
    """Print one table for each kind of task."""
    for kind, methods in summary.items():
        table = Table(title=kind, box=box.SIMPLE, pad_edge=False)
        table.add_column("method", no_wrap=True)
        for title in TITLES.values():
            table.add_column(title, justify="right")
        for method, found in methods.items():
            table.add_row(method, *(_text(figure, found.get(figure)) for figure in TITLES))
        console.print(table)
        for method, found in methods.items():
            if "not_applicable" in found:
                console.print(f"{method} is not applicable: {found['not_applicable']}.")
            for note in found.get("notes", ()):
                console.print(
                    f"{method}, {note['task']}, seed {note['seed']}: {note['decision']} after "
                    f"{note['candidates']} candidates, {note['request_seconds']:.1f} s"
                )


def _text(figure: str, found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    if figure == "seconds":
        return f"{found['mean']:.1f}"
    return share_text(found)


def share_text(found: dict[str, Any]) -> str:
    """A share in per cent, with its deviation if there are several seeds."""
    text = f"{100 * found['mean']:.1f}"
    return text if found["deviation"] is None else f"{text}±{100 * found['deviation']:.1f}"
