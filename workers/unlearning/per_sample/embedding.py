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
    if scale_grad_by_freq:
        raise NotCovered
    # With a `max_norm` it has been refused; the others matter to gradients that are not taken here.
    del max_norm, norm_type, sparse
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
        if call.tape.covers(table):
            gradients = gradient.reshape(*looked_up.shape, width)
            for window, of_rows, some in call.tape.parted(gradients, looked_up):
                window.add_rows(table.name, *_added_up(of_rows, some, rows, padding))

    return call.tape.tap(output, add)


def _added_up(
    gradients: Tensor, looked_up: Tensor, rows: int, padding: int | None
) -> tuple[Tensor, Tensor]:
    """Row numbers [n] and gradients [n, width]: one for each row that a sample has looked up.

    `gradients` [b, k, width], `looked_up` [b, k]. A sample may look a row up several times: those
    gradients are added before the power.
    """
    width = gradients.shape[2]
    sample = torch.arange(len(looked_up), device=looked_up.device)[:, None]
    keys, inverse = torch.unique(sample * rows + looked_up, return_inverse=True)
    total = gradients.new_zeros(len(keys), width)
    # In order, on every device; `index_add_` is not.
    total.index_put_((inverse.flatten(),), gradients.flatten(0, 1), accumulate=True)
    row = keys % rows
    if padding is not None:
        total = total * (row != padding)[:, None]
    return row, total
