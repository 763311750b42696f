"""What the benchmarks on trained networks have in common: options, data, recipe and store."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.experiments import tasks
from benchmarks.experiments.data import Data, load
from benchmarks.experiments.networks import NETWORKS, Shape, weight_count
from benchmarks.experiments.sources import SOURCES, Source
from benchmarks.experiments.store import Store
from benchmarks.experiments.tasks import Kind
from benchmarks.experiments.training import Networks, Recipe, content_digest, digest
from benchmarks.tools import places, results
from models.specifications import DEFAULT_ESTIMATOR
from workers.resources import require_determinism

# What was measured, and the networks that were trained for it, by the kind of device.
FOLDERS = {"cpu": Path(".data/experiments"), "cuda": Path(".data/experiments-on-a-gpu")}
# Which images train, and which half of the test images is unseen, is the same for all seeds.
DATA_SEED = 0


class NoData(Exception):
    """The dataset is not here; the message says how it gets here."""


@dataclass(frozen=True, eq=False)
class Bench:
    """`settings` are all that figures depend on, but for seeds, code and the kind of device."""

    folder: Path
    source: Source
    data: Data
    recipe: Recipe
    networks: Networks
    settings: dict[str, Any]

    def store(self, benchmark: str, estimator: str = DEFAULT_ESTIMATOR.kind) -> Store:
        """Where a benchmark keeps its cells, of which some depend on the estimator."""
        dataset, network = self.settings["dataset"], self.recipe.network
        names = (benchmark, estimator, dataset, network, digest(self.settings))
        return Store(self.folder / "cells" / "-".join(names))

    def tasks(self, given: argparse.Namespace, seed: int) -> list[tasks.Task]:
        """What `task_options` ask for: whole classes, classes within superclasses, and random
        samples that `seed` draws.
        """
        data, recipe = self.data, self.recipe
        every = [
            *(tasks.whole_class(data, recipe, label) for label in given.classes),
            *(tasks.sub_class(data, self.source, recipe, label) for label in given.subclasses),
            tasks.random_samples(data, recipe, seed),
        ]
        return [task for task in every if task.kind in given.kinds]


def options(description: str | None, *, images: int, test_images: int) -> argparse.ArgumentParser:
    """The options that all have; the two numbers are what fits the benchmark's time."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=NETWORKS, default="small")
    parser.add_argument("--dataset", choices=SOURCES, default="fashion-mnist")
    parser.add_argument("--folder", type=Path, help="where the dataset lies, unless it is fetched")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training")
    parser.add_argument("--images", type=int, default=images, help="in training")
    parser.add_argument("--test-images", type=int, default=test_images, help="half of them unseen")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2, help="1 where cores are shared")
    parser.add_argument("--name", help="of the result, instead of dataset and network")
    parser.set_defaults(device="cpu")
    return parser


def device_option(parser: argparse.ArgumentParser) -> None:
    """Add where networks are trained and measured, to benchmarks that have run on a GPU."""
    parser.add_argument("--device", choices=FOLDERS, default="cpu")


def task_options(
    parser: argparse.ArgumentParser, *, classes: Sequence[int], subclasses: Sequence[int]
) -> None:
    """Add which labels are forgotten."""
    parser.add_argument("--classes", type=int, nargs="+", default=classes, help="labels to forget")
    parser.add_argument(
        "--subclasses",
        type=int,
        nargs="+",
        default=subclasses,
        help="the same within superclasses",
    )
    parser.add_argument(
        "--kinds", choices=list(Kind), nargs="+", default=list(Kind), help="no other tasks"
    )


def prepare(given: argparse.Namespace) -> Bench:
    """Read the data that the options ask for, and set the threads.

    Raises:
        NoData: it is not where the options say.

    """
    place = given.folder or places.find(given.dataset)
    if place is None:
        raise NoData(f"{given.dataset} is not here. {places.HOW[given.dataset]}")
    torch.set_num_threads(given.threads)
    if given.device == "cuda":
        require_determinism()
    source, network = SOURCES[given.dataset], NETWORKS[given.network]
    shape = network.shape or Shape(source.channels, source.size)
    data = load(
        source,
        place,
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
    folder = FOLDERS[given.device]
    networks = Networks(folder / "trained", torch.device(given.device))
    return Bench(folder, source, data, recipe, networks, settings)


def run(given: argparse.Namespace, measure: Callable[[Bench, argparse.Namespace], None]) -> int:
    """Measure on the data that the options ask for; the exit code of the program."""
    try:
        prepared = prepare(given)
    except NoData as missing:
        Console().print(str(missing))
        return 1
    measure(prepared, given)
    return 0


def result_name(given: argparse.Namespace, benchmark: str) -> str:
    """How the files of the result are called."""
    return results.name_on(f"{benchmark}-{given.dataset}-{given.network}", given)
