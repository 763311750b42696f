"""What is to be forgotten, and what is to stay."""

import pytest
import torch

from benchmarks.experiments.sources import SOURCES, Source
from benchmarks.experiments.tasks import Task, random_samples, sub_class, whole_class
from tests.unit.benchmarks.experiments.samples import RECIPE, data

SOURCE = SOURCES["fashion-mnist"]
TASKS = {
    "class": whole_class(data(), RECIPE, 3),
    "sub-class": sub_class(data(), SOURCE, RECIPE, 5),
    "random": random_samples(data(), RECIPE, 0),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_forgotten_and_retained_samples_are_disjoint_and_complete(task: Task) -> None:
    forget, retain = task.forget.positions.tolist(), task.retain.positions.tolist()
    assert forget
    assert not set(forget) & set(retain)
    assert sorted(forget + retain) == sorted(task.train.positions.tolist())


def test_a_class_is_forgotten_whole_and_unseen_samples_are_of_the_same_label() -> None:
    task = TASKS["class"]
    assert set(task.forget.labels.tolist()) == {3}
    assert 3 not in task.retain.labels
    assert set(task.unseen.labels.tolist()) == {3}
    assert set(task.test.labels[task.of_forgotten_label].tolist()) == {3}


def test_a_sub_class_leaves_the_rest_of_its_superclass_behind() -> None:
    task = TASKS["sub-class"]
    superclass = SOURCE.superclasses[5]
    assert task.recipe.classes == 5
    assert set(task.fine[task.forgotten].tolist()) == {5}
    assert set(task.forget.labels.tolist()) == {superclass}
    assert superclass in task.retain.labels
    assert int(task.of_forgotten_label.sum()) == 6


def test_random_samples_are_a_hundred_and_depend_on_the_seed_alone() -> None:
    task = TASKS["random"]
    assert int(task.forgotten.sum()) == 100
    assert not task.of_forgotten_label.any()
    assert torch.equal(task.forgotten, random_samples(data(), RECIPE, 0).forgotten)
    assert not torch.equal(task.forgotten, random_samples(data(), RECIPE, 1).forgotten)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_superclass_has_as_many_labels_as_any_other(source: Source) -> None:
    superclasses = torch.tensor(source.superclasses)
    assert len(set(superclasses.bincount().tolist())) == 1
