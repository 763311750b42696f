"""How do published unlearning methods compare, on the tasks of arXiv 2308.07707?

A whole class, a class within a superclass, and a hundred random samples are forgotten by every
method of `benchmarks.experiments.methods`, from networks of several training seeds. An interrupted
run goes on where it stopped. A method's seconds include all that it needs the training set for,
the importances of all samples too, which a service would compute once.

`python -m benchmarks.paper`; `make data` fetches Fashion-MNIST.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import fashion_mnist, results
from benchmarks.experiments import plot, runs, summary, tasks
from benchmarks.experiments.data import Data, load
from benchmarks.experiments.methods import METHODS
from benchmarks.experiments.networks import NETWORKS, Shape, weight_count
from benchmarks.experiments.sources import SOURCES, Source
from benchmarks.experiments.store import Store
from benchmarks.experiments.training import Networks, Recipe, content_digest, digest

FOLDER = Path(".data/experiments")
# Which images train, and which half of the test images is unseen, is the same for all seeds.
DATA_SEED = 0
console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    folder = given.folder or fashion_mnist.find()
    if folder is None:
        console.print("Fashion-MNIST is not here; `make data` fetches it.")
        return 1
    source, network = SOURCES[given.dataset], NETWORKS[given.network]
    shape = network.shape or Shape(source.channels, source.size)
    data = load(
        source,
        folder,
        shape,
        images=given.images,
        test_images=given.test_images,
        seed=DATA_SEED,
    )
    recipe = Recipe(given.network, shape.channels, source.classes, given.epochs)
    settings = {
        "dataset": given.dataset,
        "images": given.images,
        "test_images": given.test_images,
        **asdict(recipe),
        "learning_rate": network.learning_rate,
        "weights": weight_count(recipe.build(seed=0)),
        "samples": content_digest(data.train),
    }
    measured = runs.run(
        {seed: _tasks(data, source, recipe, given, seed) for seed in given.seeds},
        {name: METHODS[name] for name in given.methods},
        Networks(FOLDER / "networks"),
        Store(FOLDER / "cells" / f"{given.dataset}-{given.network}-{digest(settings)}"),
    )
    _publish(given, settings, summary.summarise(measured))
    return 0


def _tasks(
    data: Data, source: Source, recipe: Recipe, given: argparse.Namespace, seed: int
) -> list[tasks.Task]:
    return [
        *(tasks.whole_class(data, recipe, label) for label in given.classes),
        *(tasks.sub_class(data, source, recipe, label) for label in given.subclasses),
        tasks.random_samples(data, recipe, seed),
    ]


def _publish(given: argparse.Namespace, settings: dict[str, Any], found: summary.Summary) -> None:
    name = given.name or f"paper-{given.dataset}-{given.network}"
    asked = {key: getattr(given, key) for key in ("seeds", "classes", "subclasses")}
    path = results.write(name, {"settings": settings, **asked, "tasks": found})
    picture = plot.draw(name, found)
    summary.show(found, console)
    console.print(f"Written to {path} and {picture}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=NETWORKS, default="small")
    parser.add_argument("--dataset", choices=SOURCES, default="fashion-mnist")
    parser.add_argument("--folder", type=Path, help="where the dataset lies, unless it is fetched")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training")
    parser.add_argument("--images", type=int, default=10_000, help="in training")
    parser.add_argument("--test-images", type=int, default=10_000, help="half of them unseen")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--classes", type=int, nargs="+", default=[3, 8], help="labels to forget")
    parser.add_argument(
        "--subclasses", type=int, nargs="+", default=[5], help="the same within superclasses"
    )
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=list(METHODS))
    parser.add_argument("--threads", type=int, default=2, help="1 where cores are shared")
    parser.add_argument("--name", help="of the result, instead of dataset and network")
    given = parser.parse_args()
    if given.dataset != "fashion-mnist" and given.folder is None:
        parser.error(f"--folder says where {given.dataset} lies, in torchvision's format")
    return given


if __name__ == "__main__":
    sys.exit(main())
