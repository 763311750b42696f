"""Linear layers: a sample's gradient is the sum, over its positions, of output ⊗ input."""

from torch import Tensor
from torch.nn import functional

from workers.unlearning.per_sample.call import Call, NotCovered


def linear(call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
    """`functional.linear`: input [size · k, …, columns], weight [rows, columns], bias [rows]."""
    call.require_constant(input)
    if input.dim() < 2 or weight.dim() != 2 or not _is_row(bias, len(weight)):
        raise NotCovered
    the_weight, the_bias = call.parameter(weight), call.expression(bias)
    samples = call.by_sample(input).flatten(1, -2)
    call.tape.use(the_weight, the_bias)
    output = functional.linear(input, call.value(weight), call.value(bias))

    def add(gradient: Tensor) -> None:
        gradients = call.by_sample(gradient).flatten(1, -2)
        if the_weight is not None and call.tape.covers(the_weight):
            for window, outputs, inputs in call.tape.parted(gradients, samples):
                window.add_products(the_weight.name, outputs, inputs)
        call.tape.add(the_bias, lambda: gradients.sum(dim=1))

    return call.tape.tap(output, add)


def _is_row(bias: Tensor | None, rows: int) -> bool:
    """Whether the bias, if there is one, has a number for each row; others are broadcast."""
    return bias is None or bias.shape == (rows,)
