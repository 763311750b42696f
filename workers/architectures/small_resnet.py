"""A residual network for small images, cheap enough to train and to weigh on two CPU cores.

    3x3 convolution, stride 2 ─▶ three basic blocks of w, 2w, 4w channels ─▶ average ─▶ linear

The first convolution halves the image: at full resolution one layer would cost as much as all
others together. At width 32 and one channel there are 308 k parameters.
"""

import torch
from torch import nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where shapes differ."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels_in, channels_out, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = _convolution(channels_out, channels_out, 1)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[n, channels_in, h, w] to [n, channels_out, h / stride, w / stride], rounded up."""
        residual = self.relu(self.norm1(self.conv1(features)))
        residual = self.norm2(self.conv2(residual))
        merged: torch.Tensor = self.relu(residual + self.shortcut(features))
        return merged


class SmallResNet(nn.Module):
    """The network of this module's docstring; any image from 8x8 up will do."""

    def __init__(self, num_classes: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(in_channels, width, 2), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stages = nn.Sequential(
            BasicBlock(width, width, 1),
            BasicBlock(width, 2 * width, 2),
            BasicBlock(2 * width, 4 * width, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [n, num_classes] of images [n, in_channels, h, w]."""
        features = self.pool(self.stages(self.stem(images)))
        logits: torch.Tensor = self.head(features.flatten(1))
        return logits


def small_resnet(*, num_classes: int, in_channels: int = 3, width: int = 32) -> SmallResNet:
    """A `SmallResNet` for grey (1) or colour (3) images.

    Raises:
        ValueError: `in_channels` is neither 1 nor 3, or `width` is not a positive integer.

    """
    if isinstance(in_channels, bool) or in_channels not in (1, 3):
        raise ValueError(f"in_channels must be 1 or 3, not {in_channels!r}")
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a positive integer, not {width!r}")
    return SmallResNet(num_classes, int(in_channels), width)


def _convolution(channels_in: int, channels_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
