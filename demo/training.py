"""Training the network that the demo then makes forget: torchvision's ResNet18 on real digits."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from models.records import Split
from models.specifications import ArchitectureSpec, DatasetSpec, HoldoutSpec, Preprocessing
from workers.architectures import build
from workers.datasets import open_dataset
from workers.datasets.indexing import split_samples
from workers.tensors import save_tensors

BATCH = 64


def train(
    architecture: ArchitectureSpec,
    dataset: DatasetSpec,
    preprocessing: Preprocessing,
    *,
    holdout: HoldoutSpec,
    epochs: int,
    seed: int,
    learning_rate: float = 0.05,
    without: Sequence[str] = (),
) -> nn.Module:
    """A network trained from scratch on the training split, `without` some samples.

    Plain stochastic gradient descent with momentum and a one-cycle schedule; in evaluation mode.
    """
    opened = open_dataset(dataset, preprocessing)
    index = opened.index()
    splits = split_samples(index, holdout)
    left_out = set(without)
    chosen = [
        position
        for position, split in enumerate(splits)
        if split is Split.TRAIN and index.sample_ids[position] not in left_out
    ]
    inputs = opened.load(chosen)
    labels = torch.from_numpy(index.labels[chosen])
    torch.manual_seed(seed)
    network = build(architecture)
    fit(network, inputs, labels, epochs=epochs, learning_rate=learning_rate)
    return network.eval()


def fit(
    network: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    learning_rate: float,
) -> None:
    """Train `network` in place on inputs [n, c, h, w] and labels [n]."""
    optimiser = torch.optim.SGD(
        network.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    batches = -(-len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=learning_rate, total_steps=epochs * batches
    )
    network.train()
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(inputs)), BATCH):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen])
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads, whatever the machine has: sums over a batch are split by them, and rounded.

    What comes out is not the same on every machine all the same.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def save(network: nn.Module, path: Path) -> None:
    """Write the weights as safetensors, as somebody who enrols a network would."""
    save_tensors(path, network.state_dict(), {})
