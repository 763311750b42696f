"""Parameters added to the samples, multiplied with them or put beside them.

Class tokens, position embeddings, layer scales, relative position biases: a sample's gradient is
the gradient of the output (times the other factor), summed over what was broadcast.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from workers.unlearning.per_sample.call import Call, NotCovered
from workers.unlearning.per_sample.tape import Expression

IN_PLACE = (Tensor.add_, Tensor.__iadd__)
ADDITIONS = (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, *IN_PLACE)
MULTIPLICATIONS = (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)
CONCATENATIONS = (torch.cat, torch.concat, torch.concatenate)


def add(call: Call, left: Tensor, right: Tensor) -> Tensor:
    """The sum of an expression and the samples."""
    expression, samples = _operands(call, left, right)
    if call.func in IN_PLACE and (samples is right or samples._is_view()):  # noqa: SLF001
        # The sum's gradient arrives at what it is a view of, not at the view.
        raise NotCovered
    call.tape.use(expression)
    output: Tensor = call.func(call.value(left), call.value(right))

    def hook(gradient: Tensor) -> None:
        call.tape.add(
            expression, lambda: _gradients(call.tape.size, gradient, expression.value.shape)
        )

    return call.tape.tap(output, hook)


def multiply(call: Call, left: Tensor, right: Tensor) -> Tensor:
    """The product, element by element, of an expression and the samples."""
    expression, samples = _operands(call, left, right)
    call.tape.use(expression)
    output: Tensor = call.func(call.value(left), call.value(right))

    def hook(gradient: Tensor) -> None:
        call.tape.add(
            expression,
            # Of complex numbers the other factor is conjugated.
            lambda: _gradients(call.tape.size, gradient * samples.conj(), expression.value.shape),
        )

    return call.tape.tap(output, hook)


def concatenate(call: Call, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Expressions and samples side by side, along any dimension but the samples' own."""
    dim %= tensors[0].dim()
    if dim == 0 or tensors[0].shape[0] % call.tape.size:
        raise NotCovered
    parts = [call.expression(tensor) for tensor in tensors]
    call.tape.use(*parts)
    output: Tensor = call.func([call.value(tensor) for tensor in tensors], dim)

    def hook(gradient: Tensor) -> None:
        start = 0
        for part, tensor in zip(parts, tensors, strict=True):
            piece = gradient.narrow(dim, start, tensor.shape[dim])
            start += tensor.shape[dim]
            call.tape.add(part, partial(_gradients, call.tape.size, piece, tensor.shape))

    return call.tape.tap(output, hook)


RULES: Mapping[Callable[..., Any], Callable[..., Tensor]] = {
    **dict.fromkeys(ADDITIONS, add),
    **dict.fromkeys(MULTIPLICATIONS, multiply),
    **dict.fromkeys(CONCATENATIONS, concatenate),
}


def _operands(call: Call, left: Tensor, right: Tensor) -> tuple[Expression, Tensor]:
    """The expression, and the samples that it meets: those decide the output's dimensions."""
    expression, samples = call.expression(left), right
    if expression is None:
        expression, samples = call.expression(right), left
    if expression is None or not isinstance(samples, Tensor):
        raise NotCovered
    call.require_constant(samples)
    own = expression.value.shape
    if samples.dim() == 0 or len(own) > samples.dim() or samples.shape[0] % call.tape.size:
        raise NotCovered
    if len(own) == samples.dim() and own[0] not in (1, samples.shape[0]):
        raise NotCovered
    return expression, samples


def _gradients(size: int, gradient: Tensor, shape: torch.Size) -> Tensor:
    """From the gradient [size · k, …] of what came out, the samples' gradients [size, *shape]."""
    rows = gradient.shape[0]
    padded = (1,) * (gradient.dim() - len(shape)) + tuple(shape)
    broadcast = [d for d in range(1, gradient.dim()) if padded[d] == 1 and gradient.shape[d] != 1]
    reduced = gradient.sum(dim=broadcast, keepdim=True) if broadcast else gradient
    if padded[0] == 1:
        return reduced.reshape(size, rows // size, *padded[1:]).sum(dim=1).reshape(size, *shape)
    # The expression has a row for each of theirs, so a sample's gradient is 0 in all other rows.
    own = gradient.new_zeros(size, size, rows // size, *padded[1:])
    sample = torch.arange(size, device=gradient.device)
    own[sample, sample] = reduced.reshape(size, rows // size, *padded[1:])
    return own.reshape(size, *shape)
