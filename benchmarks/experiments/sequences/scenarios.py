"""Twenty requests each, as masks over the training samples; no sample is named twice.

one_class        one label, in twenty equal parts: after the last request it is gone
across_classes   a tenth of one label a time; ten labels in a drawn order, and once again in the
                 same, so that a fifth of every label and of the whole goes
random_users     twenty samples a time, drawn without regard to labels
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.experiments.data import shuffled
from benchmarks.experiments.tasks import Kind

REQUESTS = 20
LABEL = 3
SAMPLES_OF_A_USER = 20
# Of a label, so much goes with one request of `across_classes`.
PARTS_OF_A_LABEL = 10

Requests = list[Tensor]


@dataclass(frozen=True)
class Scenario:
    """`requests` makes masks [n] from labels [n] and a seed.

    `kind` decides how the published program orders the samples and cuts them into batches.
    """

    kind: Kind
    requests: Callable[[Tensor, int], Requests]


def one_class(labels: Tensor, seed: int) -> Requests:
    """The samples of one label, in drawn order."""
    rows = shuffled((labels == LABEL).nonzero().flatten(), _generator(seed))
    return [_mask(part, len(labels)) for part in torch.tensor_split(rows, REQUESTS)]


def across_classes(labels: Tensor, seed: int) -> Requests:
    """The next tenth of each label in turn."""
    generator = _generator(seed)
    parts = {
        label: torch.tensor_split(
            shuffled((labels == label).nonzero().flatten(), generator), PARTS_OF_A_LABEL
        )
        for label in shuffled(torch.tensor(sorted(set(labels.tolist()))), generator).tolist()
    }
    order = list(parts)
    return [
        _mask(parts[order[turn % len(order)]][turn // len(order)], len(labels))
        for turn in range(REQUESTS)
    ]


def random_users(labels: Tensor, seed: int) -> Requests:
    """Any samples.

    Raises:
        ValueError: there are too few for all requests.

    """
    wanted = REQUESTS * SAMPLES_OF_A_USER
    if len(labels) < wanted:
        raise ValueError(f"there are {len(labels)} samples, and {wanted} are to be forgotten")
    rows = shuffled(torch.arange(len(labels)), _generator(seed))[:wanted]
    return [_mask(part, len(labels)) for part in torch.split(rows, SAMPLES_OF_A_USER)]


SCENARIOS: Mapping[str, Scenario] = {
    "one_class": Scenario(Kind.CLASS, one_class),
    "across_classes": Scenario(Kind.CLASS, across_classes),
    "random_users": Scenario(Kind.RANDOM, random_users),
}


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _mask(rows: Tensor, count: int) -> Tensor:
    mask = torch.zeros(count, dtype=torch.bool)
    mask[rows] = True
    return mask
