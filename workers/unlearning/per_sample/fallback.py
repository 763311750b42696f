"""Parameters that no rule covers: their per-sample gradients by `vmap(grad)`, for these alone."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from models.errors import NotEvaluable
from workers.unlearning.memory import is_out_of_memory
from workers.unlearning.per_sample.window import Window

# Samples at once: every one has its own activations and gradients.
SAMPLES = 8


def add_by_vmap(
    network: nn.Module,
    names: Sequence[str],
    inputs: Tensor,
    output_gradients: Tensor,
    window: Window,
) -> None:
    """Add the powers of the gradients of the parameters `names`; `inputs` [b, …] as for a pass.

    Raises `NotEvaluable` naming them if the network does something that cannot be vectorised.
    """
    parameters = {name: network.get_parameter(name).detach() for name in names}

    def gradients(sample: Tensor, of_logits: Tensor) -> dict[str, Tensor]:
        def objective(values: dict[str, Tensor]) -> Tensor:
            # Its own copy: a network may change what it is given.
            logits: Tensor = functional_call(network, values, (sample[None].clone(),))
            return (logits[0] * of_logits).sum()

        found: dict[str, Tensor] = grad(objective)(parameters)
        return found

    for start in range(0, len(inputs), SAMPLES):
        some = slice(start, start + SAMPLES)
        # Always as many at once: how many there are must not show in the last bits.
        filled = _filled(inputs[some]), _filled(output_gradients[some], zeros=True)
        try:
            with _unchanged(network), warnings.catch_warnings():
                # Some operations are not vectorised but repeated. That is slow, and right.
                warnings.filterwarnings("ignore", "There is a performance drop")
                found = vmap(gradients)(*filled)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise NotEvaluable(
                f"No per-sample gradients can be found of {', '.join(names)}: the network uses "
                f"them in a way that is neither known nor can be vectorised ({error})."
            ) from error
        for name, gradient in found.items():
            # Two parameters may be given the same tensor, and the window changes it.
            window.add(name, gradient.clone())


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Put all parameters back afterwards.

    `functional_call` leaves other tensors in a module that is in the network twice.
    """
    kept = [(module._parameters, dict(module._parameters)) for module in network.modules()]  # noqa: SLF001  (there is no other way to put a parameter back where it was)
    try:
        yield
    finally:
        for parameters, before in kept:
            parameters.update(before)


def _filled(rows: Tensor, *, zeros: bool = False) -> Tensor:
    """`SAMPLES` rows: these, then the last one again, or nothing that adds anything."""
    more = rows[-1:].expand(SAMPLES - len(rows), *rows.shape[1:])
    return torch.cat([rows, torch.zeros_like(more) if zeros else more])
