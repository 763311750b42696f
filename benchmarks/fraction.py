"""How much can be forgotten? (The third open question of arXiv 2308.07707.)

From 1 % to half of all training samples are forgotten in one request, drawn at random or whole
labels first and then a part of one, by networks of several training seeds:

    unchanged   the base
    retrained   a new network without them
    auto        this service's search and gate
    adaptive    the percentile rule, with the service's cohorts: each label by itself
    published   SSD as its authors published it, for all of them at once: gradients of batches, the
                importance of all samples in place of the retained ones', λ = 1, and α = 10 (for
                vision transformers as they scale it)

A method's candidate is measured whatever the gate decides. A published network is held against a
retrained one, not against the base: without half of the data nobody does as well.

`python -m benchmarks.fraction`; `make data` fetches Fashion-MNIST.
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from rich.console import Console
from torch import nn

from benchmarks.experiments import bench, fraction_report, runs, summary
from benchmarks.experiments.figures import measure_without_retained
from benchmarks.experiments.fractions import at_random, by_class
from benchmarks.experiments.methods.ssd_published import ssd_published
from benchmarks.experiments.methods.unchanged import unchanged
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.subjects import Subjects
from benchmarks.experiments.tasks import Task
from benchmarks.experiments.training import another
from benchmarks.tools import results
from models.specifications import AdaptiveMethod, AutoMethod, Method
from workers.unlearning.mixing import change_of_weights

SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    return bench.run(_arguments(), _measure)


def _measure(prepared: bench.Bench, given: argparse.Namespace) -> None:
    subjects = Subjects(prepared.networks)
    measured = runs.run(
        {
            seed: [
                make(prepared.data, prepared.recipe, share, seed)
                for make in (at_random, by_class)
                for share in given.shares
            ]
            for seed in given.seeds
        },
        {
            "unchanged": unchanged,
            "retrained": partial(_retrained, subjects),
            "auto": partial(_requested, subjects, AutoMethod()),
            "adaptive": partial(_requested, subjects, AdaptiveMethod(method="adaptive")),
            "published": _published,
        },
        prepared.networks,
        prepared.store("fraction"),
        measure_without_retained,
    )
    found = summary.summarise(measured, lambda each: each.task)
    name = bench.result_name(given, "fraction")
    asked = {key: getattr(given, key) for key in ("seeds", "shares")}
    path = results.write(name, {"settings": prepared.settings, **asked, "tasks": found})
    picture = fraction_report.draw(name, found, given.shares)
    fraction_report.show(found, console)
    console.print(f"Written to {path} and {picture}.")


def _retrained(subjects: Subjects, _network: nn.Module, task: Task, seed: int) -> Noted:
    trained = subjects.networks.timed(task.recipe, task.retain, another(seed))
    return Noted(trained.network, {"training_seconds": trained.seconds})


def _requested(
    subjects: Subjects, method: Method, network: nn.Module, task: Task, seed: int
) -> Noted:
    request = subjects.request(task, seed, method)
    candidate = request.network(task.recipe)
    return Noted(candidate, {**request.notes, "dampened": dampened_share(network, candidate)})


def _published(network: nn.Module, task: Task, seed: int) -> Noted:
    dampened = ssd_published(network, task, seed)
    return Noted(dampened, {"dampened": dampened_share(network, dampened)})


def dampened_share(base: nn.Module, candidate: nn.Module) -> float:
    """How many of all weights differ, as a share."""
    names = {name: parameter.numel() for name, parameter in base.named_parameters()}
    changes: Mapping[str, Any] = change_of_weights(base.state_dict(), candidate.state_dict(), names)
    return sum(int(count) for count, _ in changes.values()) / sum(names.values())


def _arguments() -> argparse.Namespace:
    parser = bench.options(__doc__, images=3000, test_images=3000)
    parser.add_argument(
        "--shares", type=float, nargs="+", default=SHARES, help="of all training samples"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
