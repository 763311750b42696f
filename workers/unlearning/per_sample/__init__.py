"""Sums over samples of each sample's squared parameter gradient, from one batched pass.

A plain backward pass gives the gradient of a *sum* of losses; the square of a sum is not the sum of
squares. But every parameter meets the data in some operation, and there a sample's own parameter
gradient is a function of two things at hand: what went into the operation and the gradient of what
came out of it. So:

    recorder.py     watches a forward pass, and taps every operation that uses parameters
    coupling.py     operations for which there are no per-sample gradients at all
    tape.py         what it noted of that pass, and what it does when the gradients come back
    linear.py  convolution.py  normalisation.py  embedding.py  attention.py  direct.py
                    the rules, one kind of operation each
    fallback.py     parameters that no rule covers: vmap(grad), for these alone
    unused.py       parameters that no operation was seen to take
    window.py       where the powers of the per-sample gradients are summed

The parameters themselves are frozen, so that autograd propagates gradients of activations only.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workers.unlearning.per_sample.fallback import add_by_vmap
from workers.unlearning.per_sample.recorder import record
from workers.unlearning.per_sample.tape import Parts
from workers.unlearning.per_sample.unused import require_unused
from workers.unlearning.per_sample.window import Window, window_dtype

__all__ = ["Parts", "Window", "add_batch", "require_unused", "window_dtype"]


def add_batch(
    network: nn.Module,
    inputs: Tensor,
    output_gradients: Callable[[Tensor], Tensor],
    parts: Parts,
) -> set[str]:
    """Add the samples' powers of gradients to the windows of their parts.

    Returns the names of parameters that no operation has taken: `require_unused` looks at these.

    `inputs` [b, …] with b > 0; `output_gradients` turns logits [b, classes] into the gradients of
    each sample's loss by its own logits. What is in no part counts for nothing. The network's
    parameters must not require gradients.
    """
    with torch.enable_grad():
        logits, recorder = record(network, inputs, parts)
    tape = recorder.tape
    gradients = output_gradients(logits)
    if logits.requires_grad:
        torch.autograd.backward(logits, gradients)
        recorder.require_all_noticed()
    tape.finish()
    if tape.uncovered:
        for window, some, of_logits in tape.parted(inputs, gradients):
            add_by_vmap(network, sorted(tape.uncovered), some, of_logits, window)
    return recorder.untaken
