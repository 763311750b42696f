"""Where cells lie, and which tasks are asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.experiments.bench import Bench, options, task_options
from benchmarks.experiments.sources import SOURCES
from benchmarks.experiments.tasks import Kind
from benchmarks.experiments.training import Networks
from tests.unit.benchmarks.experiments.samples import RECIPE, data


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """On drawn samples."""
    settings = {"dataset": "fashion-mnist", "images": 200}
    source = SOURCES["fashion-mnist"]
    return Bench(tmp_path, source, data(), RECIPE, Networks(tmp_path), settings)


def test_cells_lie_apart_by_all_that_they_depend_on(bench: Bench) -> None:
    stores = [
        bench.store("one"),
        bench.store("two"),
        bench.store("one", "empirical"),
        replace(bench, settings={**bench.settings, "images": 100}).store("one"),
        replace(bench, folder=bench.folder / "gpu").store("one"),
    ]
    assert len({store.folder for store in stores}) == len(stores)
    assert bench.store("one").folder == stores[0].folder


@pytest.mark.parametrize("kind", list(Kind))
def test_tasks_are_those_of_the_kinds_that_are_asked_for(bench: Bench, kind: Kind) -> None:
    parser = options(None, images=200, test_images=120)
    task_options(parser, classes=[3, 4], subclasses=[1])
    every = bench.tasks(parser.parse_args([]), 0)
    assert {task.kind for task in every} == set(Kind)
    assert len(every) == 4
    some = bench.tasks(parser.parse_args(["--kinds", kind]), 0)
    assert [task.kind for task in some] == [task.kind for task in every if task.kind is kind]
