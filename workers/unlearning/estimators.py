"""Estimators: of which loss a sample's gradient is taken, and to what power it is summed.

    empirical    cross-entropy at the true label, squared: the diagonal of the empirical Fisher
    predictive   cross-entropy at a label drawn from the network's own prediction, squared: an
                 unbiased draw of the diagonal of the true Fisher
    label_free   ‖f(x)‖², absolute: needs no labels (arXiv 2402.19308)

Sums of different estimators are never compared; name, version and parameters travel with them.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from models.specifications import EstimatorSpec
from workers.unlearning.batches import Batch


class Power(IntEnum):
    """What is summed: |gradient| to this power."""

    ABSOLUTE = 1
    SQUARE = 2

    def of(self, gradient: Tensor) -> Tensor:
        """|gradient| to the power, element by element."""
        return gradient.square() if self is Power.SQUARE else gradient.abs()

    def of_(self, gradient: Tensor) -> Tensor:
        """The power of a gradient, written over it."""
        return gradient.square_() if self is Power.SQUARE else gradient.abs_()

    def add_to(self, total: Tensor, gradient: Tensor) -> None:
        """Add |gradient| to the power to `total`; both have the same shape."""
        if self is Power.SQUARE:
            total.addcmul_(gradient, gradient)
        else:
            total.add_(gradient.abs())


@dataclass(frozen=True)
class Estimator:
    """A loss for each sample, given by its gradient, and a power."""

    name: str
    version: int
    power: Power
    # From logits [b, classes] in float64, the gradient of each sample's loss by its own logits.
    of_logits: Callable[[Tensor, Batch], Tensor]
    # Everything else that changes the result.
    parameters: tuple[tuple[str, int], ...] = ()

    def output_gradients(self, logits: Tensor, batch: Batch) -> Tensor:
        """The gradient of each sample's loss by its own logits: float64 [b, classes]."""
        with torch.no_grad():
            return self.of_logits(logits.detach().double(), batch)


def empirical() -> Estimator:
    """Squared gradients of the cross-entropy at the true labels."""
    return Estimator(
        "empirical", 1, Power.SQUARE, lambda logits, batch: _of_cross_entropy(logits, batch.labels)
    )


def label_free() -> Estimator:
    """Absolute gradients of the squared norm of the outputs."""
    return Estimator("label_free", 1, Power.ABSOLUTE, _of_squared_norm)


def predictive(seed: int) -> Estimator:
    """Squared gradients of the cross-entropy at labels the network itself would give.

    The draw is a function of seed and sample alone, so it is the same in every pass and batch.
    """

    def of_logits(logits: Tensor, batch: Batch) -> Tensor:
        cumulative = logits.softmax(dim=1).cumsum(dim=1)
        draws = torch.tensor(
            [_uniform(seed, position) for position in batch.positions.tolist()],
            dtype=cumulative.dtype,
            device=cumulative.device,
        )
        drawn = (cumulative < draws[:, None]).sum(dim=1).clamp_(max=logits.shape[1] - 1)
        return _of_cross_entropy(logits, drawn)

    return Estimator("predictive", 1, Power.SQUARE, of_logits, (("seed", seed),))


def estimator_of(spec: EstimatorSpec) -> Estimator:
    """The estimator that a specification names, with its parameters."""
    return ESTIMATORS[spec.kind](**spec.model_dump(exclude={"kind"}))


ESTIMATORS: Mapping[str, Callable[..., Estimator]] = {
    "empirical": empirical,
    "label_free": label_free,
    "predictive": predictive,
}


def _of_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax minus one at the label.

    There the difference cancels for a sample that the network is certain of; it is minus the sum of
    the other probabilities, however small they are.
    """
    rows = torch.arange(len(labels), device=logits.device)
    gradients = logits.softmax(dim=1)
    gradients[rows, labels] = 0
    gradients[rows, labels] = -gradients.sum(dim=1)
    return gradients


def _of_squared_norm(logits: Tensor, _batch: Batch) -> Tensor:
    return 2 * logits


def _uniform(seed: int, position: int) -> float:
    """A number in [0, 1), of 53 bits, that only seed and position decide."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
