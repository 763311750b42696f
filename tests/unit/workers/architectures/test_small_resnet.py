"""The small residual network: its size, its shapes, and that it learns."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from models.specifications import DigitsSpec, Preprocessing
from workers.architectures.small_resnet import small_resnet
from workers.datasets import open_dataset


def test_grey_images_of_ten_classes_take_308_thousand_parameters():
    network = small_resnet(num_classes=10, in_channels=1)
    assert sum(parameter.numel() for parameter in network.parameters()) == 308_074


@pytest.mark.parametrize("size", [8, 28, 32, 33])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_logits_have_one_column_per_class(size: int, in_channels: int):
    network = small_resnet(num_classes=5, in_channels=in_channels, width=4).eval()
    assert network(torch.rand(2, in_channels, size, size)).shape == (2, 5)
    assert network(torch.rand(0, in_channels, size, size)).shape == (0, 5)


def test_no_activation_is_in_place():
    activations = [m for m in small_resnet(num_classes=2).modules() if isinstance(m, nn.ReLU)]
    assert activations
    assert not any(activation.inplace for activation in activations)


def test_every_parameter_gets_a_gradient():
    network = small_resnet(num_classes=3, width=4)
    network(torch.rand(4, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_it_learns_the_handwritten_digits():
    torch.manual_seed(0)
    dataset = open_dataset(DigitsSpec(), Preprocessing(size=8, channels=1, mean=[0], std=[1]))
    labels = torch.from_numpy(dataset.index().labels)
    images = dataset.load(range(len(labels)))
    network = small_resnet(num_classes=10, in_channels=1, width=16)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(4):
        for batch in torch.randperm(1500).split(64):
            optimizer.zero_grad()
            cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        right = network(images[1500:]).argmax(1) == labels[1500:]
    assert right.float().mean() > 0.9
