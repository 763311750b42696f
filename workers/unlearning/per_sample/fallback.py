"""Parameters that no rule covers: their per-sample gradients by `vmap(grad)`, for these alone."""

import warnings
from collections.abc import Sequence

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
            logits: Tensor = functional_call(network, values, (sample[None],))
            return (logits[0] * of_logits).sum()

        found: dict[str, Tensor] = grad(objective)(parameters)
        return found

    for start in range(0, len(inputs), SAMPLES):
        some = slice(start, start + SAMPLES)
        try:
            with warnings.catch_warnings():
                # Some operations are not vectorised but repeated. That is slow, and right.
                warnings.filterwarnings("ignore", "There is a performance drop")
                found = vmap(gradients)(inputs[some], output_gradients[some])
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise NotEvaluable(
                f"No per-sample gradients can be found of {', '.join(names)}: the network uses "
                f"them in a way that is neither known nor can be vectorised ({error})."
            ) from error
        for name, gradient in found.items():
            window.add(name, gradient)
