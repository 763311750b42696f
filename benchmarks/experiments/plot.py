"""The table as a picture: one panel a kind of task, one row a method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.experiments.summary import TITLES, Summary
from benchmarks.tools import results

SHOWN = ("retained_test", "forgotten", "forgotten_test", "loss_auc")
MARKERS = ("s", "o", "x", "D")


def draw(name: str, summary: Summary) -> Path:
    """Means with their deviations, as PNG beside the JSON."""
    with results.panels(name, len(summary), size=(5, 4)) as axes:
        for panel, (kind, methods) in zip(axes[0], summary.items(), strict=True):
            _draw_methods(panel, methods)
            panel.set_title(kind)
        axes[0][0].legend(fontsize=7)
    return results.picture(name)


def _draw_methods(panel: Any, methods: Mapping[str, Mapping[str, Any]]) -> None:
    for shown, marker in zip(SHOWN, MARKERS, strict=True):
        points = {method: found[shown] for method, found in methods.items() if found.get(shown)}
        panel.errorbar(
            [100 * point["mean"] for point in points.values()],
            [list(methods).index(method) for method in points],
            xerr=[100 * (point["deviation"] or 0) for point in points.values()],
            fmt=marker,
            label=TITLES[shown],
            fillstyle="none",
        )
    panel.set_yticks(range(len(methods)), list(methods))
    panel.set_xlim(-3, 103)
    panel.set_xlabel("%")
    panel.grid(axis="x", alpha=0.3)
    panel.invert_yaxis()
