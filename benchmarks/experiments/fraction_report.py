"""What forgetting larger and larger shares comes to, as a table and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.experiments.summary import TITLES, Summary
from benchmarks.tools import results
from models.documents import Decision

SHOWN = ("retained_test", "forgotten", "loss_auc")
MARKERS = (".", "s", "o", "x", "D")


def show(summary: Summary, console: Console) -> None:
    """Print a row for every method on every share."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("forgotten share", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for title in (*(TITLES[figure] for figure in SHOWN), "dampened", "held"):
        table.add_column(title, justify="right", no_wrap=True)
    for task, methods in summary.items():
        for place, (method, found) in enumerate(methods.items()):
            table.add_row(
                task if place == 0 else "",
                method,
                *(_per_cent(found[figure]["mean"], 1) for figure in SHOWN),
                _dampened(found),
                _held(found),
                end_section=place == len(methods) - 1,
            )
    console.print(table)
    console.print(
        "Means over seeds, in per cent; dampened is the share of all weights, held how many "
        "candidates the gate leaves to a person."
    )


def _per_cent(share: float, digits: int) -> str:
    return f"{100 * share:.{digits}f}"


def _dampened(found: Mapping[str, Any]) -> str:
    shares = [note["dampened"] for note in found["notes"] if "dampened" in note]
    return _per_cent(sum(shares) / len(shares), 2) if shares else "-"


def _held(found: Mapping[str, Any]) -> str:
    decisions = [note["decision"] for note in found["notes"] if "decision" in note]
    return f"{decisions.count(Decision.NEEDS_REVIEW)}/{len(decisions)}" if decisions else "-"


def draw(name: str, summary: Summary, shares: Sequence[float]) -> Path:
    """One row of panels for random samples, one for labels; a panel for each figure."""
    count = len(shares)
    rows = [list(summary.values())[start : start + count] for start in (0, count)]
    with results.panels(name, len(SHOWN), rows=len(rows), size=(4.5, 3.5)) as axes:
        for panels, found, how in zip(axes, rows, ("at random", "by class"), strict=True):
            for panel, figure in zip(panels, SHOWN, strict=True):
                _draw_figure(panel, figure, found, shares)
                panel.set_title(f"{TITLES[figure]}, {how}")
        axes[0][0].legend(fontsize=7)
    return results.picture(name)


def _draw_figure(
    panel: Any, figure: str, found: Sequence[Mapping[str, Any]], shares: Sequence[float]
) -> None:
    for method, marker in zip(found[0], MARKERS, strict=True):
        points = [of_share[method][figure] for of_share in found]
        panel.errorbar(
            [100 * share for share in shares],
            [100 * point["mean"] for point in points],
            yerr=[100 * (point["deviation"] or 0) for point in points],
            marker=marker,
            fillstyle="none",
            capsize=2,
            label=method,
        )
    panel.set_xlabel("% of all training samples forgotten")
    panel.set_ylabel("%")
    panel.grid(alpha=0.3)
