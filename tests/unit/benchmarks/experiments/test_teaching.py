"""Teaching a class again: what is left below the last layer decides how soon it is known."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from benchmarks.experiments.features import features
from benchmarks.experiments.tasks import whole_class
from benchmarks.experiments.teaching import Teacher
from tests.unit.benchmarks.experiments.samples import LABELS, RECIPE, data
from workers.unlearning.batches import Batch

FORGOTTEN, OTHER = 3, 4


def marked(samples: Batch) -> Batch:
    """Images that show little but which label they have: one pixel for each."""
    images = 0.2 * samples.inputs.flatten(1)
    images[:, :LABELS] += nn.functional.one_hot(samples.labels, LABELS)
    return Batch(images.view_as(samples.inputs), samples.labels, samples.positions)


TASK = whole_class(replace(data(), train=marked(data().train), test=marked(data().test)), RECIPE, 3)


class Pixels(nn.Module):
    """Its features are the pixels, of which one may be taken for another one."""

    def __init__(self, *, confused: bool) -> None:
        super().__init__()
        self.below = nn.PReLU()
        self.head = nn.Linear(LABELS, LABELS)
        self.confused = confused

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)[:, :LABELS].clone()
        if self.confused:
            pixels[:, OTHER] = pixels[:, [FORGOTTEN, OTHER]].amax(dim=1)
            pixels[:, FORGOTTEN] = 0
        logits: Tensor = self.head(self.below(pixels))
        return logits


def test_features_are_what_the_last_layer_makes_logits_of() -> None:
    network = RECIPE.build(0)
    found, logits = features(network, TASK.test, LABELS), network(TASK.test.inputs)
    last = network.get_submodule("head")
    assert torch.allclose(last(found), logits, atol=1e-5)
    assert len(found) == len(TASK.test)
    # The second time it is not heard twice.
    assert torch.equal(features(network, TASK.test, LABELS), found)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_a_class_is_known_again_if_what_is_below_tells_it_apart(count: int) -> None:
    knowing, confused = (
        Teacher(Pixels(confused=confused), TASK).accuracies(count, 0) for confused in (False, True)
    )
    assert knowing.forgotten > 0.8
    assert knowing.retained > 0.95
    # Whoever cannot tell two classes apart is right about one of them at most, on average.
    others = confused.retained * (LABELS - 1) / LABELS
    assert confused.forgotten / LABELS + others < (LABELS - 1) / LABELS + 0.03


def test_a_network_whose_last_layer_cannot_be_told_is_not_taught() -> None:
    with pytest.raises(ValueError, match="which layer"):
        Teacher(nn.Sequential(nn.Flatten(), nn.Linear(64, LABELS)), TASK)


def test_one_cannot_teach_from_more_images_than_there_are() -> None:
    with pytest.raises(ValueError, match="20 images of it, not 21"):
        Teacher(Pixels(confused=False), TASK).accuracies(21, 0)


def test_the_draw_decides_which_images() -> None:
    teacher = Teacher(RECIPE.build(0), TASK)
    draws = [teacher.accuracies(1, draw) for draw in (0, 1, 2, 0)]
    assert draws[0] == draws[3]
    assert len(set(draws)) > 1
