"""How many samples a pass has: what suits the device and, for reproducible ones, the network.

At one size of batches a sample's gradient comes out the same to the last bit whoever shares its
batch, and at another it does not (docs/decisions/0002). So a reproducible pass is of one size, and
a single sample has it filled up. The larger it is the faster go many samples; how long one may take
decides how large it can be, and that depends on the network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Passes:
    """How many samples a pass has, until memory says otherwise.

    With fewer samples, `usual` ones are filled up to a power of two. Reproducible ones have from
    `fewest` to `most`, and more than `fewest` only if a forward pass of them costs no more than
    `operations`.
    """

    usual: int
    fewest: int
    most: int
    operations: int


# With the backward pass, the operations are about a tenth of a second on two cores, or on a large
# GPU. A GPU takes no longer for 64 samples than for eight: it waits to be told what to do.
PASSES = {
    "cpu": Passes(usual=64, fewest=8, most=64, operations=6 * 10**9),
    "cuda": Passes(usual=256, fewest=64, most=256, operations=4 * 10**11),
}


def passes_on(device: torch.device) -> Passes:
    """What suits a kind of device."""
    return PASSES.get(device.type, PASSES["cpu"])


def reproducible_size(network: nn.Module, sample: Tensor) -> int:
    """How many samples a reproducible pass has, a power of two; `sample` is [1, …].

    It depends on the network and the shape of a sample alone, not on the machine or on how many
    samples there are: sums that are compared must have been taken in batches of one size.
    """
    passes = passes_on(sample.device)
    # A network may change what it is given, and the sample is needed again.
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(sample.clone())
    size = passes.most
    while size > passes.fewest and size * counter.get_total_flops() > passes.operations:
        size //= 2
    return size
