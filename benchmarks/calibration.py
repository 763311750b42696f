"""Can α and λ be chosen automatically? (The second open question of arXiv 2308.07707.)

Each label as a whole, a class within a superclass and a hundred random samples are forgotten from
networks of several training seeds, with three ways to choose:

    auto        this service's: the search and its gate
    adaptive    the percentile rule alone (arXiv 2402.10098), λ = 1
    published   α = 10 and λ = 1 for everything, on exact sums and retain importances

What is wanted is the behaviour of a network that was trained without the samples: the distance from
it is the difference of retained test accuracy plus that of forgotten test accuracy (of accuracy on
the samples themselves if they were drawn at random), in points. For some tasks a grid of settings
is tried out, and its optimum chosen by that very distance on the very test samples: an oracle that
nobody can ask, who knows the retrained network. Automatic choice ought to come within a point, and
of the harmless optimum at least: that among settings that lose no more than a point themselves.
A network that keeps more of what stays than the retrained one is at a distance, too, which nobody
would mind; what a candidate falls *short* of retraining leaves that out.

What a candidate recognises with the base's last layer put back says how much of the forgetting lies
below that.

A method's candidate is measured whatever the gate decides. It has collapsed if retained test
accuracy is more than a point below the base's and it would be published nevertheless.

A request's time is held against that of retraining, both in seconds of the processor, which other
work on the machine does not lengthen; on a GPU by the clock. The search looks at probes of fixed
size, so its share is largest where training is as short as here.

`python -m benchmarks.calibration`; `make data` fetches Fashion-MNIST.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from rich.console import Console

from benchmarks.experiments import bench, calibration_report, outcomes
from benchmarks.experiments.figures import accuracies
from benchmarks.experiments.runs import Place, fill
from benchmarks.experiments.store import Cell
from benchmarks.experiments.subjects import Request, Subjects
from benchmarks.experiments.sweeps import spaced, sweep
from benchmarks.experiments.tasks import Kind, Task
from benchmarks.experiments.training import Networks, another
from benchmarks.tools import results
from models.specifications import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    AdaptiveMethod,
    AutoMethod,
    FixedMethod,
    Method,
)
from workers.unlearning.estimators import estimator_of
from workers.unlearning.last_layer import last_layer_of, with_last_layer
from workers.unlearning.tuning import Setting

METHODS: Mapping[str, Method] = {
    "auto": AutoMethod(),
    "adaptive": AdaptiveMethod(method="adaptive"),
    "published": FixedMethod.model_validate({"method": "fixed", "alpha": 10, "lambda": 1}),
}
AUTO, *OTHERS = METHODS
SELECTIONS = (0.1, 100.0)
STRENGTHS = (0.1, 1.0)
console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    return bench.run(_arguments(), _measure)


def _measure(prepared: bench.Bench, given: argparse.Namespace) -> None:
    subjects = Subjects(prepared.networks, estimator_of(ESTIMATORS[given.estimator]))
    measured = fill(
        [
            (Place(task.kind, task.name, method, seed), measure)
            for seed in given.seeds
            for task in prepared.tasks(given, seed)
            for method, measure in _cells(task, seed, subjects, given).items()
        ],
        prepared.store(f"calibration-{given.references}-{given.grid}", given.estimator),
    )
    runs = outcomes.runs_of(measured)
    summary = outcomes.summarise(runs)
    own = given.estimator == DEFAULT_ESTIMATOR.kind
    name = bench.result_name(given, "calibration" if own else f"calibration-{given.estimator}")
    options = ("seeds", "kinds", "estimator", "references", "grid", "grid_tasks")
    asked = {key: getattr(given, key) for key in options} | {"methods": _methods(given)}
    grids = [
        {"task": each.task, "seed": each.seed, **each.cell}
        for each in measured
        if each.method == outcomes.GRID
    ]
    path = results.write(
        name,
        {
            "settings": prepared.settings,
            **asked,
            "summary": summary,
            "runs": [run.as_json() for run in runs],
            "grids": grids,
        },
    )
    picture = calibration_report.draw(name, runs, measured)
    calibration_report.show(runs, summary, console)
    console.print(f"Written to {path} and {picture}.")


def _cells(
    task: Task, seed: int, subjects: Subjects, given: argparse.Namespace
) -> dict[str, Callable[[], Cell]]:
    cells: dict[str, Callable[[], Cell]] = {
        outcomes.BASE: partial(_base, task, seed, subjects.networks),
        outcomes.RETRAINED: partial(_retrained, task, given.references, subjects.networks),
        **{name: partial(_chosen, task, seed, subjects, METHODS[name]) for name in _methods(given)},
    }
    if {task.name, task.kind.value} & set(given.grid_tasks):
        cells[outcomes.GRID] = partial(_grid, task, seed, subjects, given.grid)
    return cells


def _methods(given: argparse.Namespace) -> list[str]:
    return [AUTO, *given.others]


def _base(task: Task, seed: int, networks: Networks) -> Cell:
    return asdict(accuracies(networks.trained(task.recipe, task.train, seed), task))


def _retrained(task: Task, references: int, networks: Networks) -> Cell:
    """The mean of networks that depend on the samples alone, not on the seed of the base."""
    trained = [networks.timed(task.recipe, task.retain, another(n)) for n in range(references)]
    measured = [accuracies(each.network, task) for each in trained]
    return {
        "retained": statistics.fmean(each.retained for each in measured),
        "forgotten": statistics.fmean(each.forgotten for each in measured),
        "seconds": statistics.fmean(each.seconds for each in trained),
    }


def _chosen(task: Task, seed: int, subjects: Subjects, method: Method) -> Cell:
    request = subjects.request(task, seed, method)
    restored = _with_last_layer_restored(request, task) if task.kind is Kind.CLASS else None
    return {
        **asdict(accuracies(request.network(task.recipe), task)),
        "notes": {**request.notes, "last_layer_restored": restored},
    }


def _with_last_layer_restored(request: Request, task: Task) -> float | None:
    """How much of a class the candidate recognises with the base's last layer, if it has one."""
    network = request.network(task.recipe)
    names = last_layer_of(network, task.recipe.classes)
    if not names:
        return None
    network.load_state_dict(with_last_layer(request.found.weights, request.found.base, names))
    return accuracies(network, task).forgotten


def _grid(task: Task, seed: int, subjects: Subjects, size: int) -> Cell:
    settings = [
        Setting(selection, strength)
        for strength in spaced(*STRENGTHS, size)
        for selection in spaced(*SELECTIONS, size)
    ]
    found = sweep(subjects.of(task, seed), task, settings)
    return {
        "points": [
            {"alpha": setting.selection, "lambda": setting.strength, **asdict(each)}
            for setting, each in zip(settings, found, strict=True)
        ]
    }


def _arguments() -> argparse.Namespace:
    parser = bench.options(__doc__, images=3000, test_images=3000)
    bench.task_options(parser, classes=range(10), subclasses=[5])
    bench.device_option(parser)
    parser.add_argument(
        "--estimator", choices=ESTIMATORS, default=DEFAULT_ESTIMATOR.kind, help="of importances"
    )
    parser.add_argument(
        "--others", choices=OTHERS, nargs="*", default=OTHERS, help="methods besides auto"
    )
    parser.add_argument("--grid", type=int, default=10, help="values of α, and of λ")
    parser.add_argument(
        "--grid-tasks",
        nargs="*",
        default=["class 3", "class 8", "sub-class 5", "random"],
        help="tasks, or kinds of tasks, that all settings are tried on",
    )
    parser.add_argument(
        "--references", type=int, default=1, help="retrained networks a task is held against"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
