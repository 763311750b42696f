"""The networks: how each is built, what images it takes, and how fast it learns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torchvision
from torch import nn

from models.specifications import ArchitectureSpec
from workers.architectures import build

# Wide enough for 89 % of Fashion-MNIST's test images after 10 epochs of 10 000 training images.
SMALL_WIDTH = 24


@dataclass(frozen=True)
class Shape:
    """Channels of an image, and its height and width."""

    channels: int
    size: int


@dataclass(frozen=True)
class Network:
    """`shape` is None where any image will do; `build` is told the classes and the channels."""

    build: Callable[[int, int], nn.Module]
    shape: Shape | None
    learning_rate: float


def _small(classes: int, channels: int) -> nn.Module:
    options: dict[str, bool | int | float | str] = {"in_channels": channels, "width": SMALL_WIDTH}
    return build(ArchitectureSpec(name="small_resnet", num_classes=classes, options=options))


def _resnet18(classes: int, _channels: int) -> nn.Module:
    return build(
        ArchitectureSpec(name="resnet18", num_classes=classes, options={"cifar_stem": True})
    )


def _vit(classes: int, _channels: int) -> nn.Module:
    """6 layers, width 128, 65 tokens."""
    network: nn.Module = torchvision.models.VisionTransformer(
        image_size=32,
        patch_size=4,
        num_layers=6,
        num_heads=4,
        hidden_dim=128,
        mlp_dim=256,
        num_classes=classes,
    )
    return network.eval()


NETWORKS: Mapping[str, Network] = {
    "small": Network(_small, shape=None, learning_rate=0.05),
    "resnet18": Network(_resnet18, shape=Shape(3, 32), learning_rate=0.05),
    "vit": Network(_vit, shape=Shape(3, 32), learning_rate=0.01),
}


def weight_count(network: nn.Module) -> int:
    """How many trained numbers a network has."""
    return sum(parameter.numel() for parameter in network.parameters())
