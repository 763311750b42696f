"""A trained network with the requests that it gets, and what a strategy makes of them."""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.experiments.data import Data
from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.tasks import Kind
from benchmarks.experiments.training import Recipe
from workers.unlearning.batches import Batch
from workers.unlearning.dampening import Weights


@dataclass(frozen=True, eq=False)
class Course:
    """`requests` are masks over the training samples; `subject` has `network` as its base."""

    kind: Kind
    requests: list[Tensor]
    data: Data
    recipe: Recipe
    network: nn.Module
    subject: Subject
    seed: int

    @property
    def train(self) -> Batch:
        """The training samples."""
        return self.data.train

    @property
    def last(self) -> int:
        """The number of the last request; the first is 1."""
        return len(self.requests)

    def numbered(self) -> Iterator[tuple[int, Tensor]]:
        """Every request with its number."""
        return enumerate(self.requests, start=1)

    def reached(self, numbers: Iterable[int]) -> list[int]:
        """Those of the numbers that a request has."""
        return [number for number in numbers if number <= self.last]

    def forgotten(self, after: int) -> Tensor:
        """Everything that the first `after` requests name, as a mask."""
        nothing = torch.zeros(len(self.train), dtype=torch.bool)
        return torch.stack([nothing, *self.requests[:after]]).any(dim=0)

    def with_weights(self, weights: Weights) -> nn.Module:
        """A network with these weights."""
        network = deepcopy(self.network)
        network.load_state_dict(weights)
        return network


@dataclass(frozen=True, eq=False)
class Version:
    """The network that serves after a request; `notes` say how it came about.

    After request 0 nothing is forgotten yet, but what is computed only once has been.
    """

    request: int
    network: nn.Module
    notes: dict[str, Any] = field(default_factory=dict)


# Versions in the order of requests, of all of them or of some.
Strategy = Callable[[Course], Iterator[Version]]
