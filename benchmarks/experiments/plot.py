"""The table as a picture: one panel a kind of task, one row a method."""

from pathlib import Path

from benchmarks import results
from benchmarks.experiments.summary import TITLES, Summary

SHOWN = ("retained_test", "forgotten", "forgotten_test", "loss_auc")
MARKERS = ("s", "o", "x", "D")


def draw(name: str, summary: Summary) -> Path:
    """Means with their deviations, as PNG beside the JSON."""
    # Only benchmarks draw, and only with their extra installed.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(summary), figsize=(5 * len(summary), 4), squeeze=False)
    for panel, (kind, methods) in zip(panels[0], summary.items(), strict=True):
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
        panel.set_title(kind)
        panel.grid(axis="x", alpha=0.3)
        panel.invert_yaxis()
    panels[0][0].legend(fontsize=7)
    figure.tight_layout()
    path = results.FOLDER / f"{name}.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
