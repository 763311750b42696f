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
from torch import Tensor, nn

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
        """The same, overwriting the gradient."""
        return gradient.square_() if self is Power.SQUARE else gradient.abs_()

    def add_to(self, total: Tensor, gradient: Tensor) -> None:
        """Add |gradient| to the power to `total`; both have the same shape."""
        if self is Power.SQUARE:
            total.addcmul_(gradient, gradient)
        else:
            total.add_(gradient.abs())


@dataclass(frozen=True)
class Estimator:
    """A loss of logits [b, classes] in float64, giving one value a sample [b], and a power."""

    name: str
    version: int
    power: Power
    losses: Callable[[Tensor, Batch], Tensor]
    # Everything else that changes the result.
    parameters: tuple[tuple[str, int], ...] = ()

    def output_gradients(self, logits: Tensor, batch: Batch) -> Tensor:
        """The gradient of each sample's loss by its own logits: float64 [b, classes].

        In float64, so that a sample the network is all but certain of keeps its tiny gradient: in
        float32, 1 − p is 0 from p = 1 − 3e-8 on.
        """
        with torch.enable_grad():
            leaf = logits.detach().double().requires_grad_()
            (gradients,) = torch.autograd.grad(self.losses(leaf, batch).sum(), leaf)
        return gradients


def empirical() -> Estimator:
    """Squared gradients of the cross-entropy at the true labels."""
    return Estimator("empirical", 1, Power.SQUARE, _cross_entropy)


def label_free() -> Estimator:
    """Absolute gradients of the squared norm of the outputs."""
    return Estimator("label_free", 1, Power.ABSOLUTE, _squared_norm)


def predictive(seed: int) -> Estimator:
    """Squared gradients of the cross-entropy at labels the network itself would give.

    The draw is a function of seed and sample alone, so it is the same in every pass and batch.
    """

    def losses(logits: Tensor, batch: Batch) -> Tensor:
        cumulative = logits.detach().softmax(dim=1).cumsum(dim=1)
        draws = torch.tensor(
            [_uniform(seed, position) for position in batch.positions.tolist()],
            dtype=cumulative.dtype,
            device=cumulative.device,
        )
        drawn = (cumulative < draws[:, None]).sum(dim=1).clamp_(max=logits.shape[1] - 1)
        return nn.functional.cross_entropy(logits, drawn, reduction="none")

    return Estimator("predictive", 1, Power.SQUARE, losses, (("seed", seed),))


def estimator_of(spec: EstimatorSpec) -> Estimator:
    """The estimator that a specification names, with its parameters."""
    return ESTIMATORS[spec.kind](**spec.model_dump(exclude={"kind"}))


ESTIMATORS: Mapping[str, Callable[..., Estimator]] = {
    "empirical": empirical,
    "label_free": label_free,
    "predictive": predictive,
}


def _cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(logits, batch.labels, reduction="none")


def _squared_norm(logits: Tensor, _batch: Batch) -> Tensor:
    return logits.square().sum(dim=1)


def _uniform(seed: int, position: int) -> float:
    """A number in [0, 1), of 53 bits, that only seed and position decide."""
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
