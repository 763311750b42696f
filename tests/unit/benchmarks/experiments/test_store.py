"""Cells that outlive the run that measured them."""

from pathlib import Path

import pytest
from torch import nn

from benchmarks.experiments.methods.unchanged import unchanged
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.runs import run
from benchmarks.experiments.store import DamagedCell, Store
from benchmarks.experiments.tasks import Task, random_samples
from benchmarks.experiments.training import Networks
from tests.unit.benchmarks.experiments.samples import RECIPE, data


def test_a_cell_is_found_as_it_was_kept_and_only_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep("retrain", "class 3", 1, {"figures": {"forgotten": 0.25}})
    assert store.find("retrain", "class 3", 1) == {"figures": {"forgotten": 0.25}}
    assert store.find("retrain", "class 3", 2) is None
    assert store.find("finetune", "class 3", 1) is None


@pytest.mark.parametrize("content", [b"", b'{"figures": {"forg', b"[]", b"\xff\xfe\x00"])
def test_of_a_cell_that_cannot_be_read_it_is_said_which_file_to_delete(
    tmp_path: Path, content: bytes
) -> None:
    store = Store(tmp_path)
    store.keep("retrain", "class 3", 1, {})
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(content)
    with pytest.raises(DamagedCell) as said:
        store.find("retrain", "class 3", 1)
    assert str(path) in str(said.value)
    assert "Delete it" in str(said.value)
    path.unlink()
    assert store.find("retrain", "class 3", 1) is None


class Interrupted(Exception):
    """Somebody stopped the run."""


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    tasks = {0: [random_samples(data(), RECIPE, 0)]}
    networks, store = Networks(tmp_path / "networks"), Store(tmp_path / "cells")
    asked: list[str] = []

    def first(network: nn.Module, task: Task, seed: int) -> nn.Module:
        asked.append("first")
        return unchanged(network, task, seed)

    def second(network: nn.Module, task: Task, seed: int) -> nn.Module:
        asked.append("second")
        if asked.count("second") == 1:
            raise Interrupted
        return unchanged(network, task, seed)

    methods = {"first": first, "second": second}
    with pytest.raises(Interrupted):
        run(tasks, methods, networks, store)
    measured = run(tasks, methods, networks, store)
    assert asked == ["first", "second", "second"]
    assert [each.method for each in measured] == ["first", "second"]
    assert len(list((tmp_path / "networks").iterdir())) == 1


def test_a_method_that_is_not_made_for_the_task_says_why_in_its_cell(tmp_path: Path) -> None:
    def refusing(_network: nn.Module, _task: Task, _seed: int) -> nn.Module:
        raise NotApplicable("not today")

    tasks = {0: [random_samples(data(), RECIPE, 0)]}
    (measured,) = run(
        tasks, {"refusing": refusing}, Networks(tmp_path / "networks"), Store(tmp_path / "cells")
    )
    assert measured.cell == {"not_applicable": "not today"}
