"""The sequences as a picture: one row a scenario, one column a figure, one line a strategy."""

from pathlib import Path
from typing import Any

from benchmarks.experiments.sequences.strategies import SUCCESSIVE
from benchmarks.experiments.sequences.summary import TITLES, Summary
from benchmarks.tools import results

SHOWN = ("retained_test", "lasting_test", "forgotten", "loss_auc")
# What the strategies are compared with is dashed.
REFERENCES = ("unchanged", "retrain")


def draw(name: str, summary: Summary) -> Path:
    """Means with their deviations over the number of requests, as PNG beside the JSON."""
    # Only benchmarks draw, and only with their extra installed.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        len(summary),
        len(SHOWN),
        figsize=(4 * len(SHOWN), 3.2 * len(summary)),
        squeeze=False,
        sharex=True,
    )
    for row, (scenario, strategies) in zip(panels, summary.items(), strict=True):
        for panel, shown in zip(row, SHOWN, strict=True):
            for index, strategy in enumerate(SUCCESSIVE):
                points = _points(strategies.get(strategy, {}), shown)
                panel.errorbar(
                    list(points),
                    [100 * point["mean"] for point in points.values()],
                    yerr=[100 * (point["deviation"] or 0) for point in points.values()],
                    fmt="--" if strategy in REFERENCES else "-",
                    color=f"C{index}",
                    marker="o",
                    markersize=3,
                    # Over the others: a service that publishes nothing is as if unchanged.
                    zorder=3 if strategy in REFERENCES else 2,
                    capsize=2,
                    label=strategy,
                )
            panel.set_title(f"{scenario}: {TITLES[shown]}", fontsize=9)
            panel.set_ylabel("%")
            panel.set_ylim(-3, 103)
            panel.grid(alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("requests")
    panels[0][0].legend(fontsize=6)
    figure.tight_layout()
    path = results.FOLDER / f"{name}.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _points(found: dict[str, Any], shown: str) -> dict[int, dict[str, Any]]:
    """By request."""
    return {
        request: figures[shown]
        for request, figures in found.get("after", {}).items()
        if shown in figures
    }
