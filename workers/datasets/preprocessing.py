"""From a stored image to the network's input, one image at a time.

Never by batches: a sample's tensor must not depend, in its last bit, on its neighbours.
"""

import torch

from models.specifications import Preprocessing

# Red, green and blue in luma, ITU-R BT.601.
LUMA = (0.299, 0.587, 0.114)


def prepare(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """`image`, float32 [1 or 3, h, w] in [0, 1], as float32 [channels, size, size].

    Resized if height or width differ, brought to `channels`, then `(pixel - mean) / std`.
    """
    image = _with_channels(_resized(image, preprocessing.size), preprocessing.channels)
    mean = torch.tensor(preprocessing.mean, dtype=torch.float32).view(-1, 1, 1)
    std = torch.tensor(preprocessing.std, dtype=torch.float32).view(-1, 1, 1)
    return (image - mean) / std


def _resized(image: torch.Tensor, size: int) -> torch.Tensor:
    if image.shape[1:] == (size, size):
        return image
    return torch.nn.functional.interpolate(
        image[None], size=(size, size), mode="bilinear", antialias=True
    )[0]


def _with_channels(image: torch.Tensor, channels: int) -> torch.Tensor:
    if len(image) == channels:
        return image
    if channels == 3:
        return image.expand(3, -1, -1)
    return (image * torch.tensor(LUMA, dtype=torch.float32).view(3, 1, 1)).sum(dim=0, keepdim=True)
