"""Where results go, and what machine they were measured on."""

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write(name: str, result: dict[str, Any]) -> Path:
    """Write a result beside the description of the machine."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")
    return path


def plot_bars(name: str, groups: Mapping[str, Mapping[str, Mapping[str, Any]]], axis: str) -> Path:
    """Draw each group's `ratio` figures as bars, beside the JSON."""
    # Only benchmarks draw, and only with their extra installed.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(groups), figsize=(4 * len(groups), 3.5), squeeze=False)
    for plot, (title, contenders) in zip(axes[0], groups.items(), strict=True):
        ratios = {who: found["ratio"] for who, found in contenders.items() if "ratio" in found}
        bars = plot.barh(list(ratios), list(ratios.values()))
        plot.bar_label(bars, fmt="%.2f")
        plot.set_title(title)
        plot.set_xlabel(axis, fontsize=7)
        plot.invert_yaxis()
    figure.tight_layout()
    path = FOLDER / f"{name}.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
