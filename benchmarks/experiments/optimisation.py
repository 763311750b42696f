"""The inner loop that methods of further training share."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.experiments.placement import device_of
from workers.unlearning.batches import Batch


def trainable_copy(network: nn.Module) -> nn.Module:
    """A copy in train mode, whose parameters require gradients."""
    return deepcopy(network).requires_grad_(True).train()


def minimise_cross_entropy(
    network: nn.Module, samples: Batch, optimiser: Optimizer, *, epochs: int, batch_size: int
) -> None:
    """Passes over the samples in a new order each, by PyTorch's own generator."""
    samples = samples.to(device_of(network))
    with fast_arithmetic():
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(samples)), batch_size):
                optimiser.zero_grad()
                logits = network(samples.inputs[rows])
                torch.autograd.backward(nn.functional.cross_entropy(logits, samples.labels[rows]))
                optimiser.step()


@contextmanager
def fast_arithmetic() -> Iterator[None]:
    """Inside, GPUs may multiply in TF32, as most networks are trained; elsewhere it is off."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
