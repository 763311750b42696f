"""How soon does a network know a class again that it has forgotten?

Every class is forgotten from networks of several training seeds, and then a new last layer is
trained on the features of

    base        the network as it was
    retrained   one that was trained without the class
    auto        this service's candidate
    adaptive    the candidate of the percentile rule alone (arXiv 2402.10098)
    published   that of α = 10 and λ = 1

from all retained samples and a few images of the class, for several draws of these. A candidate
that has forgotten like a retrained network needs as many images as that does. What is recognised
without any is in `benchmarks.calibration`, as is what the base's last layer still recognises.

`python -m benchmarks.relearning`; `make data` fetches Fashion-MNIST.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.calibration import METHODS
from benchmarks.experiments import bench
from benchmarks.experiments.runs import Measured, Place, fill
from benchmarks.experiments.store import Cell
from benchmarks.experiments.subjects import Subjects
from benchmarks.experiments.tasks import Task, whole_class
from benchmarks.experiments.teaching import Teacher
from benchmarks.experiments.training import another
from benchmarks.tools import results

COUNTS = (1, 2, 5, 10, 30, 100)
DRAWS = 5
# Method → number of images → accuracy, mean over classes, seeds and draws.
Means = dict[str, dict[int, float]]
console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    return bench.run(_arguments(), _measure)


def _measure(prepared: bench.Bench, given: argparse.Namespace) -> None:
    subjects = Subjects(prepared.networks)
    measured = fill(
        [
            (Place(task.kind, task.name, name, seed), partial(_taught, make, task))
            for seed in given.seeds
            for label in given.classes
            for task in [whole_class(prepared.data, prepared.recipe, label)]
            for name, make in _networks(task, seed, subjects).items()
        ],
        prepared.store("relearning"),
    )
    forgotten, retained = (_means(measured, kind) for kind in ("forgotten", "retained"))
    name = bench.result_name(given, "relearning")
    runs = [
        {"task": each.task, "seed": each.seed, "network": each.method, **each.cell}
        for each in measured
    ]
    path = results.write(
        name,
        {
            "settings": prepared.settings,
            "seeds": given.seeds,
            "draws": DRAWS,
            "forgotten": forgotten,
            "retained": retained,
            "runs": runs,
        },
    )
    picture = _draw(name, forgotten)
    _show(forgotten)
    console.print(f"Written to {path} and {picture}.")


def _networks(task: Task, seed: int, subjects: Subjects) -> dict[str, Callable[[], nn.Module]]:
    networks = subjects.networks
    requests = {name: partial(_candidate, task, seed, subjects, name) for name in METHODS}
    return {
        "base": partial(networks.trained, task.recipe, task.train, seed),
        "retrained": partial(networks.trained, task.recipe, task.retain, another(0)),
        **requests,
    }


def _candidate(task: Task, seed: int, subjects: Subjects, method: str) -> nn.Module:
    return subjects.request(task, seed, METHODS[method]).network(task.recipe)


def _taught(make: Callable[[], nn.Module], task: Task) -> Cell:
    """Accuracies of every count of images, mean over draws."""
    teacher = Teacher(make(), task)
    found = {count: [teacher.accuracies(count, draw) for draw in range(DRAWS)] for count in COUNTS}
    return {
        kind: {
            str(count): statistics.fmean(getattr(each, kind) for each in drawn)
            for count, drawn in found.items()
        }
        for kind in ("forgotten", "retained")
    }


def _means(measured: Sequence[Measured], kind: str) -> Means:
    cells: dict[str, list[Cell]] = defaultdict(list)
    for each in measured:
        cells[each.method].append(each.cell)
    return {
        method: {
            count: statistics.fmean(cell[kind][str(count)] for cell in of_method)
            for count in COUNTS
        }
        for method, of_method in cells.items()
    }


def _show(means: Means) -> None:
    table = Table(
        title="recognised of the class after so many images of it, per cent", box=box.SIMPLE
    )
    table.add_column("network")
    for count in COUNTS:
        table.add_column(str(count), justify="right")
    for method, of_method in means.items():
        table.add_row(method, *(f"{100 * of_method[count]:.1f}" for count in COUNTS))
    console.print(table)


def _draw(name: str, means: Mapping[str, Mapping[int, float]]) -> Path:
    with results.panels(name, 1, size=(5.5, 4)) as axes:
        panel = axes[0][0]
        for method, of_method in means.items():
            shares = [100 * share for share in of_method.values()]
            panel.plot(list(of_method), shares, "o-", fillstyle="none", label=method)
        panel.set_xscale("log")
        panel.set_xlabel("images of the class for a new last layer")
        panel.set_ylabel("% of the class's test images recognised")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    return results.picture(name)


def _arguments() -> argparse.Namespace:
    parser = bench.options(__doc__, images=3000, test_images=3000)
    parser.add_argument("--classes", type=int, nargs="+", default=range(10), help="to forget")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
