"""Whether the batched pass is exact for a network: tried on a few samples, against one at a time.

The rules rely on every sample keeping its own rows in everything that flows through the network. A
network that shuffles or mixes its samples breaks that without a sign; here it shows. Some networks
do so in batches of certain sizes only, where another dimension happens to be a multiple of them,
so the sizes that passes really have are what is tried, and all that are tried are those they have.
"""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from models.errors import NotEvaluable
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator
from workers.unlearning.importances import fisher_sums
from workers.unlearning.memory import is_out_of_memory
from workers.unlearning.passes import passes_on

# Rounding may flip a ReLU or a maximum; what the rules get wrong is off by far more.
TOLERANCE = 0.05
# A parameter whose gradients are that much smaller than another's has none but for rounding, which
# is not the same in batches: the bias of a key in attention, or of what is normalised next.
NEGLIGIBLE = 1e-5
# A size that shares no divisor with the others.
FEW = 3


def pass_sizes(device: torch.device) -> frozenset[int]:
    """How many samples a pass on the device may have: whole ones, halves, halves of these.

    Memory may be too short for more, and what is left for the last is filled up to one of these.
    """
    whole = passes_on(device).usual
    return frozenset({FEW, *(whole >> halvings for halvings in range(whole.bit_length() - 1))})


def require_exact(
    network: nn.Module, samples: Batch, estimator: Estimator, sizes: Collection[int]
) -> None:
    """Raise `NotEvaluable` naming a parameter whose sums are not those of the samples one by one.

    Passes of all `sizes` are tried, each with the first so many of `samples`, or with all of them
    and filled up. Reproducible passes are tried as well. The network is left as it was. It is also
    refused if PyTorch cannot compute its gradients.
    """
    try:
        _try_sizes(network, samples, estimator, sizes)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).split("\n", maxsplit=1)[0]
        raise NotEvaluable(
            f"PyTorch cannot compute the gradients of single samples ({reason}). Build the network "
            "for evaluation: without torch.utils.checkpoint, and for batches of any size."
        ) from error


def _try_sizes(
    network: nn.Module, samples: Batch, estimator: Estimator, sizes: Collection[int]
) -> None:
    def compare(count: int, size: int | None, totals: dict[str, Tensor]) -> None:
        found = fisher_sums(
            network,
            [samples.part(0, count)],
            estimator=estimator,
            batch_size=size,
            reproducible=size is None,
        )
        _compare(found, totals, estimator)

    # What must not even be tried, such as an operation that changes parameters, is refused here.
    fisher_sums(network, [samples.part(0, 1)], estimator=estimator)
    for count, totals in enumerate(_one_by_one(network, samples, estimator), start=1):
        if count in sizes:
            compare(count, count, totals)
    for size in sorted(size for size in sizes if size > len(samples)):
        compare(len(samples), size, totals)
    compare(len(samples), None, totals)


def _compare(found: dict[str, Tensor], totals: dict[str, Tensor], estimator: Estimator) -> None:
    largest = {name: float(total.max()) for name, total in totals.items() if total.numel()}
    least = max(largest.values(), default=0.0) * NEGLIGIBLE**estimator.power
    for name, expected in totals.items():
        if name not in largest or largest[name] < least:
            continue
        if float((found[name] - expected).abs().max()) > TOLERANCE * largest[name]:
            raise NotEvaluable(
                f"The per-sample gradients of parameter {name!r} come out wrong in batches: the "
                "network seems to mix its samples. Each sample's rows must stay together in the "
                "first dimension of everything that flows through it."
            )


def _one_by_one(
    network: nn.Module, samples: Batch, estimator: Estimator
) -> Iterator[dict[str, Tensor]]:
    """The sums over the first sample, over the first two, and so on: the same tensors each time."""
    parameters = dict(network.named_parameters())
    totals = {name: torch.zeros_like(p, dtype=torch.float64) for name, p in parameters.items()}
    trainable = {name: p.requires_grad for name, p in parameters.items()}
    for row in range(len(samples)):
        sample = samples.part(row, row + 1)
        network.requires_grad_(True)
        try:
            # A network may change what it is given, and these samples are needed again.
            logits = network(sample.inputs.clone())
            gradients = torch.autograd.grad(
                logits,
                list(parameters.values()),
                estimator.output_gradients(logits, sample).to(logits.dtype),
                materialize_grads=True,
            )
        finally:
            for name, parameter in parameters.items():
                parameter.requires_grad_(trainable[name])
        for total, gradient in zip(totals.values(), gradients, strict=True):
            total.add_(estimator.power.of(gradient.double()))
        yield totals
