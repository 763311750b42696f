"""Which weights are selected: held against those that are known, and counted layer by layer."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from workers.unlearning.dampening import Population, importance_ratios
from workers.unlearning.importances import Sums

Masks = dict[str, Tensor]


@dataclass(frozen=True)
class Match:
    """How well a selection meets the weights that ought to be selected.

    `precision` is the share of selected weights that ought to be, None if there are none; `recall`
    the share of those that ought to be that are selected.
    """

    precision: float | None
    recall: float


@dataclass(frozen=True)
class Layer:
    """Its weights, and how many of them are dampened."""

    weights: int
    dampened: int


def match(selected: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Match:
    """Compare two selections of the same network's weights."""
    both = sum(int((mask & wanted[name]).sum()) for name, mask in selected.items())
    of_selected = _count(selected)
    return Match(both / of_selected if of_selected else None, both / _count(wanted))


def selected_by_difference(
    full: Sums, forget: Sums, population: Population, selection: float
) -> Masks:
    """Where I_f > α · I_r, with the exact importance of the retained samples."""
    return {
        name: importance_ratios(tensor, forget[name], population) > selection
        for name, tensor in full.items()
    }


def selected_by_full(full: Sums, forget: Sums, population: Population, selection: float) -> Masks:
    """Where I_f > α · I, with that of all samples in place of the retained ones."""
    return {
        name: forget[name] / population.forgotten > selection * tensor / population.total
        for name, tensor in full.items()
    }


def by_layer(weights: Mapping[str, Tensor], dampened: Mapping[str, int]) -> dict[str, Layer]:
    """Counts of the parameters of each module together, in the network's order."""
    parts: dict[str, list[str]] = defaultdict(list)
    for name in dampened:
        parts[name.rpartition(".")[0]].append(name)
    return {
        module: Layer(
            sum(weights[name].numel() for name in names), sum(dampened[name] for name in names)
        )
        for module, names in parts.items()
    }


def _count(masks: Mapping[str, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())
