"""Normalisation layers: scale and shift, applied to what has been normalised.

A sample's gradient of the scale is the sum over its positions of gradient · normalised input, that
of the shift the sum of the gradient.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.per_sample.call import Call


def batch_norm(
    call: Call,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.batch_norm` with running statistics: input [size · k, channels, …]."""
    # Others have been refused.
    assert not training
    assert running_mean is not None
    assert running_var is not None
    call.require_constant(input, running_mean, running_var)
    scale, shift = call.expression(weight), call.expression(bias)
    samples = _channels_first(call, input)
    channels = input.shape[1]
    call.tape.use(scale, shift)
    output = functional.batch_norm(
        input,
        running_mean,
        running_var,
        call.value(weight),
        call.value(bias),
        False,
        momentum,
        eps,
    )

    def add(gradient: Tensor) -> None:
        # The library's own kernel, with every channel of every sample as a channel of one sample.
        size = call.tape.size
        _, of_scale, of_shift = torch.ops.aten.native_batch_norm_backward(
            _channels_first(call, gradient).reshape(1, size * channels, -1),
            samples.reshape(1, size * channels, -1),
            None,
            running_mean.repeat(size),
            running_var.repeat(size),
            None,
            None,
            False,
            eps,
            [False, True, True],
        )
        call.tape.add(scale, lambda: of_scale.view(size, channels))
        call.tape.add(shift, lambda: of_shift.view(size, channels))

    return call.tape.tap(output, add)


def layer_norm(
    call: Call,
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.layer_norm`: input [size · k, …, *normalized_shape]."""
    call.require_constant(input)
    scale, shift = call.expression(weight), call.expression(bias)
    call.by_sample(input)
    call.tape.use(scale, shift)
    shape = list(normalized_shape)
    output = functional.layer_norm(
        input,
        shape,
        call.value(weight),
        call.value(bias),
        eps,
    )

    def per_sample(tensor: Tensor) -> Tensor:
        return call.by_sample(tensor).reshape(call.tape.size, -1, *shape).sum(dim=1)

    def add(gradient: Tensor) -> None:
        call.tape.add(
            scale,
            lambda: per_sample(gradient * functional.layer_norm(input, shape, eps=eps)),
        )
        call.tape.add(shift, lambda: per_sample(gradient))

    return call.tape.tap(output, add)


def group_norm(
    call: Call,
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.group_norm`: input [size · k, channels, …]."""
    call.require_constant(input)
    scale, shift = call.expression(weight), call.expression(bias)
    call.by_sample(input)
    call.tape.use(scale, shift)
    output = functional.group_norm(
        input,
        num_groups,
        call.value(weight),
        call.value(bias),
        eps,
    )

    def per_sample(tensor: Tensor) -> Tensor:
        return _channels_first(call, tensor).sum(dim=2)

    def add(gradient: Tensor) -> None:
        call.tape.add(
            scale,
            lambda: per_sample(gradient * functional.group_norm(input, num_groups, eps=eps)),
        )
        call.tape.add(shift, lambda: per_sample(gradient))

    return call.tape.tap(output, add)


def _channels_first(call: Call, tensor: Tensor) -> Tensor:
    """[size · k, channels, …] as [size, channels, k · …]."""
    return call.by_sample(tensor).transpose(1, 2).flatten(2)
