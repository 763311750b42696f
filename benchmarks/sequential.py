"""What happens after 1 to 20 successive deletion requests, the open question of arXiv 2308.07707?

Every strategy of `benchmarks.experiments.sequences` serves twenty requests in each scenario, from
networks of several training seeds; figures are of the versions after some of them. By the way: what
becomes of cohorts that are cut otherwise than by label. An interrupted run goes on where it
stopped, and several may share the work by `--scenarios`: what one has measured, all have.

`python -m benchmarks.sequential`; `make data` fetches Fashion-MNIST.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Any

import torch
from rich.console import Console

from benchmarks import fashion_mnist, results
from benchmarks.experiments.bench import DATA_SEED, FOLDER, TRAINED
from benchmarks.experiments.data import Data, load
from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.networks import NETWORKS, Shape, weight_count
from benchmarks.experiments.sequences import plot, runs, summary
from benchmarks.experiments.sequences.course import Course
from benchmarks.experiments.sequences.scenarios import REQUESTS, SCENARIOS
from benchmarks.experiments.sequences.strategies import STRATEGIES
from benchmarks.experiments.sources import SOURCES
from benchmarks.experiments.store import Store
from benchmarks.experiments.training import Networks, Recipe, content_digest, digest

SOURCE = SOURCES["fashion-mnist"]
NETWORK = "small"
console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    folder = fashion_mnist.find()
    if folder is None:
        console.print("Fashion-MNIST is not here; `make data` fetches it.")
        return 1
    data = load(
        SOURCE,
        folder,
        Shape(SOURCE.channels, SOURCE.size),
        images=given.images,
        test_images=given.test_images,
        seed=DATA_SEED,
    )
    recipe = Recipe(NETWORK, SOURCE.channels, SOURCE.classes, given.epochs)
    settings = {
        "images": given.images,
        "test_images": given.test_images,
        **asdict(recipe),
        "learning_rate": NETWORKS[NETWORK].learning_rate,
        "weights": weight_count(recipe.build(seed=0)),
        "samples": content_digest(data.train),
        "requests": REQUESTS,
    }
    measured = runs.run(
        _courses(data, recipe),
        scenarios=given.scenarios,
        strategies={name: STRATEGIES[name] for name in given.strategies},
        seeds=given.seeds,
        store=Store(FOLDER / "cells" / f"sequential-{digest(settings)}"),
    )
    _publish(given, settings, summary.summarise(measured))
    return 0


def _courses(data: Data, recipe: Recipe) -> Callable[[str, int], Course]:
    """Makes courses; a seed's network is trained and enrolled when it is first wanted."""
    networks = Networks(TRAINED)

    @cache
    def subject_of(seed: int) -> Subject:
        return Subject.enrolled(networks.trained(recipe, data.train, seed), data.train, data.unseen)

    def course_of(scenario: str, seed: int) -> Course:
        subject, chosen = subject_of(seed), SCENARIOS[scenario]
        return Course(
            kind=chosen.kind,
            requests=chosen.requests(data.train.labels, seed),
            data=data,
            recipe=recipe,
            network=networks.trained(recipe, data.train, seed),
            subject=subject.afresh(),
            seed=seed,
        )

    return course_of


def _publish(given: argparse.Namespace, settings: dict[str, Any], found: summary.Summary) -> None:
    differences = {
        scenario: summary.batching(strategies, REQUESTS) for scenario, strategies in found.items()
    }
    path = results.write(
        given.name,
        {
            "settings": settings,
            "seeds": given.seeds,
            "scenarios": found,
            "retained_test_at_once_less_one_by_one": differences,
        },
    )
    picture = plot.draw(given.name, found)
    summary.show(found, REQUESTS, console)
    console.print(f"Written to {path} and {picture}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training")
    parser.add_argument("--images", type=int, default=4000, help="in training")
    parser.add_argument("--test-images", type=int, default=4000, help="half of them unseen")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--scenarios", choices=SCENARIOS, nargs="+", default=list(SCENARIOS))
    parser.add_argument("--strategies", choices=STRATEGIES, nargs="+", default=list(STRATEGIES))
    parser.add_argument("--threads", type=int, default=1, help="more where cores are idle")
    parser.add_argument("--name", default="sequential", help="of the result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
