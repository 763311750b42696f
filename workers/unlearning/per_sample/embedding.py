"""Embeddings: a row's gradient is the sum over a sample's own look-ups of it."""

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.per_sample.call import Call, NotCovered


def embedding(
    call: Call,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """`functional.embedding`: input [size · k, …] of row numbers, weight [rows, width]."""
    if max_norm is not None or scale_grad_by_freq:
        raise NotCovered
    # They matter to `max_norm` and to gradients that are not taken here.
    del norm_type, sparse
    call.require_constant(input)
    table = call.parameter(weight)
    if table is None:
        raise NotCovered
    looked_up = call.by_sample(input).flatten(1)
    call.tape.use(table)
    output = functional.embedding(input, call.value(weight), padding_idx)
    rows, width = weight.shape
    padding = None if padding_idx is None else padding_idx % rows

    def add(gradient: Tensor) -> None:
        if not call.tape.covers(table):
            return
        # A sample may look a row up several times: those gradients are added before the power.
        sample = torch.arange(call.tape.size, device=input.device)[:, None]
        keys, inverse = torch.unique(sample * rows + looked_up, return_inverse=True)
        gradients = gradient.new_zeros(len(keys), width)
        gradients.index_add_(0, inverse.flatten(), gradient.reshape(-1, width))
        row = keys % rows
        if padding is not None:
            gradients = gradients * (row != padding)[:, None]
        call.tape.window.add_rows(table.name, row, gradients)

    return call.tape.tap(output, add)
