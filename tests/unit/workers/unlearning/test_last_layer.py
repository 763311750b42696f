"""The last layer of a network, and putting another one's in its place."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from models.specifications import ArchitectureSpec
from workers.architectures import ARCHITECTURES, build
from workers.architectures.torchvision_networks import torchvision_builders
from workers.unlearning.last_layer import last_layer_of, with_last_layer

# No layer between has so many outputs.
CLASSES = 7


# RegNet computes its widths with tensors, which have no values on the meta device.
ON_META = [
    name for name in (*ARCHITECTURES, *torchvision_builders()) if not name.startswith("regnet")
]


@pytest.mark.parametrize(
    ("name", "device"),
    [*((name, "meta") for name in ON_META), ("regnet_x_400mf", "cpu"), ("regnet_y_400mf", "cpu")],
)
def test_the_last_layer_of_an_architecture_is_what_it_defines_last(name: str, device: str) -> None:
    with torch.device(device):
        network = build(ArchitectureSpec(name=name, num_classes=CLASSES))
    names = last_layer_of(network, CLASSES)
    assert names
    assert names == list(network.state_dict())[-len(names) :]


def test_another_last_layer_changes_logits_and_nothing_below_it() -> None:
    network = build(ArchitectureSpec(name="small_resnet", num_classes=CLASSES))
    images = torch.rand(2, 3, 16, 16)
    logits = network(images)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    zeroed = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    names = last_layer_of(network, CLASSES)
    network.load_state_dict(with_last_layer(weights, zeroed, names))
    assert not network(images).any()
    network.load_state_dict(with_last_layer(network.state_dict(), weights, names))
    assert torch.equal(network(images), logits)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(CLASSES)),
        # What is defined last need not be used last.
        nn.ModuleDict({"classifier": nn.Linear(5, CLASSES), "body": nn.Linear(3, 5)}),
        # Its weight is made of other parameters.
        nn.Sequential(nn.Linear(3, CLASSES), weight_norm(nn.Linear(CLASSES, CLASSES))),
        # Nothing is below.
        nn.Linear(3, CLASSES),
        nn.Flatten(),
    ],
)
def test_where_it_cannot_be_told_which_is_the_last_none_is_named(network: nn.Module) -> None:
    assert last_layer_of(network, CLASSES) == []


def test_only_the_last_layer_is_put_back() -> None:
    of_one, of_another = ({name: torch.tensor(n) for name in ("a", "b")} for n in (1.0, 2.0))
    assert with_last_layer(of_one, of_another, ["b"]) == {"a": of_one["a"], "b": of_another["b"]}
