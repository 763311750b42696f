"""Where results go, and what machine they were measured on."""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parents[1] / "results"


def _source() -> dict[str, Any]:
    """The commit, and whether anything but results differs from it; None without a repository."""
    changes = _git("status", "--porcelain", "--", ":/", f":(exclude){FOLDER.name}")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed": None if changes is None else bool(changes),
    }


def _git(*arguments: str) -> str | None:
    # Without the lock that would keep others from committing.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(
            command, cwd=FOLDER.parent, capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


# When the program begins: by the time it writes its result, the files may be others.
STARTED_FROM = _source()


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        **STARTED_FROM,
        "processor": platform.processor() or platform.machine(),
        "processor_model": _processor_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": _gpu(),
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _processor_model() -> str | None:
    """As Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), None)


def _gpu() -> str | None:
    """The one that was used, not one that is merely there."""
    used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return torch.cuda.get_device_name() if used else None


def name_on(benchmark: str, given: argparse.Namespace) -> str:
    """How a result is called, unless `--name` says: a GPU's does not replace a CPU's."""
    own: str | None = given.name
    return own or (benchmark if given.device == "cpu" else f"{benchmark}-{given.device}")


def write(name: str, result: dict[str, Any]) -> Path:
    """Write a result beside the description of the machine."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")
    return path


@contextmanager
def panels(name: str, columns: int, *, size: tuple[float, float], rows: int = 1) -> Iterator[Any]:
    """A picture's panels, [rows, columns] of `size` inches each; written to `picture(name)`."""
    # Only benchmarks draw, and only with their extra installed.
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    width, height = size
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False
    )
    yield axes
    figure.tight_layout()
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(picture(name), dpi=110)
    pyplot.close(figure)


def picture(name: str) -> Path:
    """Where a result is drawn, beside the JSON."""
    return FOLDER / f"{name}.png"


def plot_bars(name: str, groups: Mapping[str, Mapping[str, Mapping[str, Any]]], axis: str) -> Path:
    """Draw each group's `ratio` figures as bars."""
    with panels(name, len(groups), size=(4, 3.5)) as axes:
        for plot, (title, contenders) in zip(axes[0], groups.items(), strict=True):
            ratios = {who: found["ratio"] for who, found in contenders.items() if "ratio" in found}
            bars = plot.barh(list(ratios), list(ratios.values()))
            plot.bar_label(bars, fmt="%.2f")
            plot.set_title(title)
            plot.set_xlabel(axis, fontsize=7)
            plot.invert_yaxis()
    return picture(name)
