"""Fisher sums: how much each parameter matters to a set of samples.

The gradients are per sample, never those of a batch's mean: their powers add up over batches, over
shards and over requests, and subtract again, `full − forget` being what the retained samples sum to
(docs/decisions/0002). Batches go through one forward and one backward pass (`per_sample`); a window
of some hundred samples is summed in float32, windows are summed in float64.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

from torch import Tensor, nn

from models.errors import NotEvaluable, SumsMismatch
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator, empirical
from workers.unlearning.passes import passes_on, reproducible_size
from workers.unlearning.summation import Summation, zeros

Sums = dict[str, Tensor]

# Samples that are best read and handed over at a time, whatever a pass has.
BATCH = 64


@dataclass(frozen=True)
class Provenance:
    """What two sums must have in common before they may be compared or added."""

    weights: str
    manifest: str
    # Kinds of devices round differently, and the difference of two sums must not show it.
    device: str = "cpu"
    estimator: str = "empirical"
    estimator_version: int = 1
    estimator_parameters: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, estimator: Estimator, *, weights: str, manifest: str, device: str) -> "Provenance":
        """That of sums which `estimator` makes at these weights."""
        return cls(
            weights=weights,
            manifest=manifest,
            device=device,
            estimator=estimator.name,
            estimator_version=estimator.version,
            estimator_parameters=dict(estimator.parameters),
        )

    def require_same(self, other: "Provenance") -> None:
        """Raise `SumsMismatch` naming what differs."""
        different = [name for name, mine in vars(self).items() if mine != getattr(other, name)]
        if different:
            raise SumsMismatch(
                f"These Fisher sums differ in {', '.join(different)} and cannot be compared. "
                "Enrol the network again to compute them anew."
            )


def zero_sums(network: nn.Module) -> Sums:
    """Sums over no samples: float64 zeros by parameter name, shaped like the parameters."""
    return zeros(dict(network.named_parameters()))


def fisher_sums(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    estimator: Estimator | None = None,
    batch_size: int | None = None,
    reproducible: bool = False,
) -> Sums:
    """The sum over samples of a power of the gradient of each sample's loss.

    The result maps every parameter's name to a float64 tensor of its shape; it is a sum, not a
    mean. Loss and power are the `estimator`'s: squares, or absolute values where it is label-free.
    Without one they are squares of the gradient of the cross-entropy at the true label.

    Passes are of `batch_size` samples, and of half as many whenever the device runs out of memory;
    the result does not depend on it, nor on how `batches` are cut, but for rounding: some 1e-6,
    more where that flips a ReLU or a maximum; 1e-13 if `reproducible`, at one batch size (the
    network's own, if none is given), which costs a tenth to a third more, and on a GPU twice as
    much or more.

    The network is left as it was. Parameters it does not use get zeros; a parameter that the
    network uses twice gets the square of its whole gradient. The first dimension of what flows
    through the network must stay that of the samples, each sample's rows together.

    Raises `NotEvaluable` if a module is in train mode (batch normalisation would couple samples,
    dropout would make them random) or a parameter is used in a way for which there is no
    per-sample gradient, naming it; `NonFiniteGradient` naming parameter and sample.
    """
    of_all = _sums(
        network,
        batches,
        lambda batch: [0] * len(batch),
        estimator=estimator,
        batch_size=batch_size,
        reproducible=reproducible,
    )
    return dict(of_all).get(0) or zero_sums(network)


def sums_by_label(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    estimator: Estimator | None = None,
    halvings: int = 0,
) -> Iterator[tuple[int, Sums]]:
    """Fisher sums of the samples of each label, reproducible; each as soon as it is complete.

    Samples must come in the order of their labels. Those of several labels share a pass, so a label
    with a single sample costs no more than a sample of another. With `halvings`, passes begin with
    half as many samples for each of them: memory was too short for more before.
    """
    yield from _sums(
        network,
        batches,
        lambda batch: batch.labels.tolist(),
        estimator=estimator,
        halvings=halvings,
        reproducible=True,
    )


def _sums(
    network: nn.Module,
    batches: Iterable[Batch],
    group_of: Callable[[Batch], list[int]],
    *,
    estimator: Estimator | None,
    batch_size: int | None = None,
    halvings: int = 0,
    reproducible: bool,
) -> Iterator[tuple[int, Sums]]:
    _require_evaluation_mode(network)
    coming = iter(batches)
    first = next((batch for batch in coming if len(batch)), None)
    if first is None:
        return
    with _frozen(network):
        size = batch_size or _size_of_pass(network, first, reproducible=reproducible)
        summation = Summation(
            network,
            estimator or empirical(),
            group_of,
            batch_size=max(1, size >> halvings),
            reproducible=reproducible,
        )
        yield from summation.sums(chain([first], coming))


def _size_of_pass(network: nn.Module, batch: Batch, *, reproducible: bool) -> int:
    if reproducible:
        return reproducible_size(network, batch.inputs[:1])
    return passes_on(batch.inputs.device).usual


def add_sums(total: Sums, more: Mapping[str, Tensor]) -> Sums:
    """Add `more` to `total` in place and return it; both hold the same names."""
    for name, tensor in total.items():
        tensor.add_(more[name].to(tensor.device))
    return total


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Inside, no parameter requires gradients."""
    trainable = {name: p.requires_grad for name, p in network.named_parameters()}
    network.requires_grad_(False)
    try:
        yield
    finally:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(trainable[name])


def _require_evaluation_mode(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if module.training:
            raise NotEvaluable(
                f"Module {name or 'network'!r} is in train mode; per-sample gradients exist in "
                "evaluation mode only. Call network.eval() first."
            )
