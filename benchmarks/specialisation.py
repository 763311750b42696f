"""Are the selected weights those that know what is to be forgotten?

planted   A network of which it is known what weights are one class's alone (`experiments.planted`):
          how many of the selected weights are among them (precision) and how many of them are
          selected (recall), over α; with the exact sums of retained samples, and with the full
          sums in place of the retained ones.
layers    What share of each layer is dampened for a class, a sub-class and random samples, by the
          percentile rule's α and by the published one.
alpha     What is left of retained and of forgotten accuracy, over α, with λ = 1.

`python -m benchmarks.specialisation`; `make data` fetches Fashion-MNIST.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from rich.console import Console
from torch import nn

from benchmarks.experiments import bench, specialisation_report
from benchmarks.experiments.bench import Bench
from benchmarks.experiments.dampened import dampened_as_published, importances
from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.layers import (
    Masks,
    by_layer,
    match,
    selected_by_difference,
    selected_by_full,
)
from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.planted import Planted, plant
from benchmarks.experiments.runs import Place, fill
from benchmarks.experiments.store import Cell
from benchmarks.experiments.subjects import Subjects
from benchmarks.experiments.sweeps import spaced, sweep
from benchmarks.experiments.tasks import Kind, Task
from benchmarks.tools import results
from workers.unlearning.dampening import Population
from workers.unlearning.probing.observation import observe
from workers.unlearning.tuning import Setting

PLANTED_SELECTIONS = spaced(0.1, 1000, 25)
SELECTIONS = spaced(1, 1000, 19)
PUBLISHED = Setting(10.0, 1.0)
console = Console()


def main() -> int:
    """Measure what is not measured yet, print and write."""
    return bench.run(_arguments(), _measure)


def _measure(prepared: bench.Bench, given: argparse.Namespace) -> None:
    measured = fill(
        [place for seed in given.seeds for place in _places(prepared, given, seed)],
        prepared.store("specialisation"),
    )
    name = bench.result_name(given, "specialisation")
    asked = {key: getattr(given, key) for key in ("seeds", "classes", "subclasses")}
    cells = [
        {"what": each.method, "task": each.task, "seed": each.seed, **each.cell}
        for each in measured
    ]
    path = results.write(name, {"settings": prepared.settings, **asked, "cells": cells})
    picture = specialisation_report.draw(name, measured)
    specialisation_report.show(measured, console)
    console.print(f"Written to {path} and {picture}.")


def _places(
    prepared: Bench, given: argparse.Namespace, seed: int
) -> list[tuple[Place, Callable[[], Cell]]]:
    planted = plant(prepared.data, prepared.source.classes)
    subjects = Subjects(prepared.networks)
    places: list[tuple[Place, Callable[[], Cell]]] = [
        (
            Place(Kind.CLASS, "planted class", "planted", seed),
            partial(_planted, planted, given.epochs, seed),
        )
    ]
    for task in prepared.tasks(given, seed):
        for what, measure in (("layers", _layers), ("alpha", _alpha)):
            place = Place(task.kind, task.name, what, seed)
            places.append((place, partial(measure, task, seed, subjects)))
    return places


def _planted(planted: Planted, epochs: int, seed: int) -> Cell:
    network = planted.network(epochs=epochs, seed=seed)
    subject = Subject.enrolled(network, planted.train, planted.test)
    rows = planted.forgotten.nonzero().flatten()
    full, forget = subject.full, subject.sums_of(rows)
    population = Population(total=len(planted.train), forgotten=len(rows))
    mixer, cohorts = subject.mixer(planted.forgotten), subject.cohorts(planted.forgotten)
    of_all, of_forgotten = importances(full, population.total), importances(forget, len(rows))

    def found(masks: Masks, dampened: nn.Module) -> Cell:
        return {**asdict(match(masks, planted.block_of(full))), **_seen(dampened, planted)}

    points = []
    for selection in PLANTED_SELECTIONS:
        masks = selected_by_difference(full, forget, population, selection)
        mixture = mixer.mix(dict.fromkeys(cohorts, Setting(selection, 1.0)))
        subject.network.load_state_dict(mixture.weights)
        by_difference = found(masks, subject.network)
        masks = selected_by_full(full, forget, population, selection)
        dampened = dampened_as_published(network, of_all, of_forgotten, selection=selection)
        by_full = found(masks, dampened)
        points.append({"alpha": selection, "difference": by_difference, "full": by_full})
    used = match({name: total > 0 for name, total in full.items()}, planted.block_of(full))
    return {"base": _seen(network, planted), "used": used.recall, "points": points}


def _seen(network: nn.Module, planted: Planted) -> Cell:
    seen, label = observe(network, in_parts(network, planted.test)), [planted.label]
    return {"retained": seen.without(label).accuracy, "forgotten": seen.of(label).accuracy}


def _layers(task: Task, seed: int, subjects: Subjects) -> Cell:
    subject = subjects.of(task, seed)
    mixer, cohorts = subject.mixer(task.forgotten), subject.cohorts(task.forgotten)
    by_rule = {each: Setting(mixer.adaptive_selection(each), 1.0) for each in cohorts}
    cell: Cell = {}
    for name, settings in (("adaptive", by_rule), ("published", dict.fromkeys(cohorts, PUBLISHED))):
        layers = by_layer(subject.base, mixer.mix(settings).by_parameter)
        cell[name] = {layer: asdict(counts) for layer, counts in layers.items()}
    return cell


def _alpha(task: Task, seed: int, subjects: Subjects) -> Cell:
    subject = subjects.of(task, seed)
    mixer = subject.mixer(task.forgotten)
    adaptive = {
        cohort.name: mixer.adaptive_selection(cohort) for cohort in subject.cohorts(task.forgotten)
    }
    found = sweep(subject, task, [Setting(selection, 1.0) for selection in SELECTIONS])
    return {
        "adaptive": adaptive,
        "points": [
            {"alpha": selection, **asdict(each)}
            for selection, each in zip(SELECTIONS, found, strict=True)
        ],
    }


def _arguments() -> argparse.Namespace:
    parser = bench.options(__doc__, images=3000, test_images=3000)
    bench.task_options(parser, classes=[3], subclasses=[5])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
