"""Networks and images with which devices are compared.

Weights are random, no layer is left out of the gradients, and there are no ties: where what goes
into a ReLU is zero but for rounding, a device that rounds otherwise takes the gradient another way,
and the two differ by much more than rounding. At the seeds below all of it is seven times as far
from such a place, or further, as float32 on a CPU is from float64.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from models.specifications import ArchitectureSpec
from tests.support.networks import shuffle_statistics
from tests.unit.workers.unlearning.oracles import CLASSES, labelled, randn
from workers.architectures import build
from workers.unlearning.batches import Batch
from workers.unlearning.importances import Sums

# A network in evaluation mode and so many samples for it, in float32 on the CPU.
Make = Callable[[int], tuple[nn.Module, Batch]]


@dataclass(frozen=True)
class Family:
    """One network of an architecture, and images for it."""

    architecture: str
    size: int
    options: dict[str, int | bool] = field(default_factory=dict)
    channels: int = 3
    seed: int = 0

    def make(self, count: int) -> tuple[nn.Module, Batch]:
        """The network, and so many samples with labels of all kinds."""
        torch.manual_seed(self.seed)
        network = build(
            ArchitectureSpec(
                name=self.architecture, num_classes=CLASSES, options=dict(self.options)
            )
        )
        shuffle_statistics(network)
        generator = torch.Generator().manual_seed(self.seed)
        shape = (count, self.channels, self.size, self.size)
        return with_a_head(network), labelled(torch.rand(shape, generator=generator))


def small_resnet(count: int) -> tuple[nn.Module, Batch]:
    """Expunge's own, with 20 k parameters."""
    family = Family("small_resnet", 8, {"in_channels": 1, "width": 8}, channels=1, seed=14)
    return family.make(count)


def small_vit(count: int) -> tuple[nn.Module, Batch]:
    """With 257 positions: more than a kernel for attention takes in at once."""
    torch.manual_seed(0)
    network = VisionTransformer(
        image_size=64,
        patch_size=4,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=24,
        num_classes=CLASSES,
    )
    return with_a_head(network).eval(), labelled(randn(count, 3, 64, 64).float())


def shades(count: int) -> tuple[nn.Module, Batch]:
    """Looks every pixel up in a table of eight shades, so each is looked up very often."""
    torch.manual_seed(0)
    return _Shades().eval(), labelled(randn(count, 1, 32, 32).float())


class _Shades(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, classes] of images [n, 1, h, w]."""
        shade = (images.flatten(1) * 2 + 4).long().clamp(0, 7)
        logits: Tensor = self.head(torch.tanh(self.table(shade)).mean(dim=1))
        return logits


def with_a_head(network: nn.Module) -> nn.Module:
    """ViT's head starts at zero, and with it every gradient behind it; not so after this."""
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.05)
    return network


def moved(
    network: nn.Module, samples: Batch, device: torch.device, dtype: torch.dtype
) -> tuple[nn.Module, Batch]:
    """A copy of the network, and the samples, on the device and in this precision."""
    inputs = samples.inputs.to(dtype)
    return (
        copy.deepcopy(network).to(device, dtype),
        Batch(inputs, samples.labels, samples.positions).to(device),
    )


def on_cpu(tensors: dict[str, Tensor]) -> Sums:
    """The same tensors where they can be compared with the CPU's."""
    return {name: tensor.cpu() for name, tensor in tensors.items()}
