"""Normalisation layers: scale and shift, applied to what has been normalised.

A sample's gradient of the scale is the sum over its positions of gradient · normalised input, that
of the shift the sum of the gradient.
"""

from collections.abc import Sequence

import numba
import numpy as np
from torch import Tensor
from torch.nn import functional

from workers.unlearning.loops.compiled import Array, compiled_reordered, is_compiled
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
    call.by_sample(input)
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
        if call.tape.covers(scale) or call.tape.covers(shift):
            of_scale, of_shift = _gradients(
                _channels_first(call, gradient),
                _channels_first(call, input),
                running_mean,
                (running_var + eps).rsqrt(),
            )
            call.tape.add(scale, lambda: of_scale)
            call.tape.add(shift, lambda: of_shift)

    return call.tape.tap(output, add)


def _gradients(
    gradients: Tensor, samples: Tensor, mean: Tensor, inverse_deviation: Tensor
) -> tuple[Tensor, Tensor]:
    """Each sample's gradients of scale and shift [b, channels], of [b, channels, positions].

    Positions are added up in float64 on a CPU, elsewhere in the network's precision.
    """
    if is_compiled(gradients, samples, mean, inverse_deviation):
        of_scale, of_shift = gradients.new_empty(2, *gradients.shape[:2])
        _add_up(
            gradients.numpy(),
            samples.detach().numpy(),
            mean.detach().numpy(),
            inverse_deviation.detach().numpy(),
            of_scale.numpy(),
            of_shift.numpy(),
        )
        return of_scale, of_shift
    normalised = (samples - mean[:, None]) * inverse_deviation[:, None]
    return (gradients * normalised).sum(dim=2), gradients.sum(dim=2)


@compiled_reordered
def _add_up(
    gradients: Array,
    samples: Array,
    mean: Array,
    inverse_deviation: Array,
    of_scale: Array,
    of_shift: Array,
) -> None:
    """What scale and shift get of every sample, in one pass over memory."""
    size, channels, positions = gradients.shape
    for sample in numba.prange(size):
        for channel in range(channels):
            scaled = shifted = 0.0
            for position in range(positions):
                gradient = np.float64(gradients[sample, channel, position])
                centred = np.float64(samples[sample, channel, position]) - mean[channel]
                scaled += gradient * centred
                shifted += gradient
            of_scale[sample, channel] = scaled * inverse_deviation[channel]
            of_shift[sample, channel] = shifted


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
