"""Checking weights against an architecture, tensor by tensor, before anything is built on them."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.errors import WeightsMismatch
from models.specifications import ArchitectureSpec
from workers.tensors import NAMES


def check_weights(
    weights: Mapping[str, Tensor], network: nn.Module, architecture: ArchitectureSpec
) -> None:
    """Raise `WeightsMismatch` naming the first tensor that does not fit, and how."""
    _require_tensors_of_their_own(network, architecture)
    expected = network.state_dict()
    fits = f"{architecture.name} with {architecture.num_classes} classes"
    missing = [name for name in expected if name not in weights]
    if missing:
        raise WeightsMismatch(
            f"The weights lack {_named(missing)}, which {fits} needs. "
            "Check the architecture and its options."
        )
    unexpected = [name for name in weights if name not in expected]
    if unexpected:
        raise WeightsMismatch(
            f"The weights hold {_named(unexpected)}, which {fits} does not have. "
            "Check the architecture and its options."
        )
    for name, tensor in weights.items():
        _check_tensor(name, tensor, expected[name], fits)


def _require_tensors_of_their_own(network: nn.Module, architecture: ArchitectureSpec) -> None:
    # A file holds a shared tensor under each of its names, and dampening only changes one of them.
    reach = sorted(
        (*_reach(parameter), name)
        for name, parameter in network.named_parameters(remove_duplicate=False)
        if parameter.numel()
    )
    for (_, end, first), (start, _, second) in pairwise(reach):
        if start < end:
            one, other = sorted((first, second))
            raise WeightsMismatch(
                f"{architecture.name} shares memory between {one!r} and {other!r}, and networks "
                "that share tensors cannot be dampened. Give each its own."
            )


def _reach(tensor: Tensor) -> tuple[int, int]:
    """The addresses at which it begins and ends."""
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _check_tensor(name: str, tensor: Tensor, expected: Tensor, fits: str) -> None:
    if tensor.shape != expected.shape:
        raise WeightsMismatch(
            f"Tensor {name!r} has shape {list(tensor.shape)}; {fits} needs {list(expected.shape)}."
        )
    if tensor.dtype != expected.dtype:
        raise WeightsMismatch(
            f"Tensor {name!r} is {tensor.dtype}; {fits} needs {expected.dtype}. Convert it first."
        )
    if tensor.dtype not in NAMES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in NAMES)
        raise WeightsMismatch(
            f"Tensor {name!r} is {tensor.dtype}, which checkpoints cannot hold. "
            f"Convert it, and the architecture's, to one of {known}."
        )
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise WeightsMismatch(f"Tensor {name!r} holds NaN or infinity.")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"tensor {names[0]!r}{more}"
