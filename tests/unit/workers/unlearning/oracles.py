"""What per-sample sums are by definition: a loop over samples, autograd, and the sum of powers."""

import copy
import math
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator, Power, empirical, label_free
from workers.unlearning.importances import Sums, fisher_sums
from workers.unlearning.per_sample import Window
from workers.unlearning.per_sample.recorder import record

CLASSES = 3
# One sample's logits [classes] and its label → its loss.
Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """−log p(label)."""
    return torch.logsumexp(logits, 0) - logits[label]


def squared_norm(logits: Tensor, _label: Tensor) -> Tensor:
    """‖logits‖²."""
    return (logits**2).sum()


def oracle(
    network: nn.Module, samples: Batch, loss: Loss = cross_entropy, *, absolute: bool = False
) -> Sums:
    """Σ over samples of (∂ loss / ∂ w)², or of its absolute value: slowly, in float64."""
    twin = network
    if any(parameter.dtype is not torch.float64 for parameter in network.parameters()):
        twin = copy.deepcopy(network).double()
    return loop(twin, _double(samples), loss, absolute=absolute)


def loop(
    network: nn.Module, samples: Batch, loss: Loss = cross_entropy, *, absolute: bool = False
) -> Sums:
    """The same in the network's own precision."""
    parameters = dict(network.named_parameters())
    sums = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
    for image, label in zip(samples.inputs, samples.labels, strict=True):
        value = loss(network(image[None])[0], label)
        gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
        for total, gradient in zip(sums.values(), gradients, strict=True):
            if gradient is not None:
                total.add_(gradient.abs() if absolute else gradient**2)
    return sums


def worst_relative_error(found: Sums, expected: Sums, *, floor: float = 1e-300) -> float:
    """Per tensor, the largest error relative to the tensor's largest entry; the worst of them.

    A tensor whose entries are all below `floor` is compared with that; one without any is not.
    """
    assert found.keys() == expected.keys()
    return max(
        float((found[name] - wanted).abs().max() / wanted.abs().max().clamp(min=floor))
        for name, wanted in expected.items()
        if wanted.numel()
    )


def uncovered(network: nn.Module, inputs: Tensor) -> set[str]:
    """The parameters that no rule covers in a pass over these inputs."""
    parameters = dict(network.named_parameters())
    trainable = {name: parameter.requires_grad for name, parameter in parameters.items()}
    network.requires_grad_(False)
    _, recorder = record(network, inputs, [(slice(None), Window(parameters, Power.SQUARE))])
    for name, parameter in parameters.items():
        parameter.requires_grad_(trainable[name])
    return recorder.tape.uncovered


def labelled(inputs: Tensor, classes: int = CLASSES) -> Batch:
    """Inputs with labels of all kinds."""
    return Batch.of(inputs, torch.arange(len(inputs)) % classes)


def assert_equals_the_loop(
    network: nn.Module,
    inputs: Tensor,
    *,
    fallback: Collection[str] = (),
    batch_size: int | None = None,
) -> None:
    """Squares and absolute values, in float64, equal the loop's but for rounding.

    `fallback` are the parameters that no rule should cover: all others are covered by one.
    """
    network.double().eval()
    samples = _double(labelled(inputs))
    kinds: list[tuple[Estimator, Loss, bool]] = [
        (empirical(), cross_entropy, False),
        (label_free(), squared_norm, True),
    ]
    for estimator, loss, absolute in kinds:
        found = fisher_sums(network, [samples], estimator=estimator, batch_size=batch_size)
        expected = oracle(network, samples, loss, absolute=absolute)
        # What is zero may be rounding instead.
        error = worst_relative_error(found, expected, floor=1e-5)
        assert error <= 1e-10, (estimator.name, error)
    if len(samples):
        assert uncovered(network, samples.inputs) == set(fallback)


def read_out(features: Tensor) -> Tensor:
    """Logits [b, 3] of anything [b, …], by constants: not linear, and no two inputs count alike."""
    flat = features.reshape(len(features), math.prod(features.shape[1:]))
    weights = torch.sin(torch.arange(1, 1 + CLASSES * flat.shape[1], dtype=flat.dtype) * 7.3)
    return torch.tanh(flat) @ weights.view(flat.shape[1], CLASSES)


class Formula(nn.Module):
    """A network written as one function of itself and the inputs, then read out."""

    def __init__(
        self, formula: Callable[[Any, Tensor], Tensor], **members: nn.Module | Tensor
    ) -> None:
        super().__init__()
        self.formula = formula
        for name, member in members.items():
            setattr(self, name, nn.Parameter(member) if isinstance(member, Tensor) else member)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [b, 3]."""
        return read_out(self.formula(self, inputs))


def randn(*sizes: int, seed: int = 0) -> Tensor:
    """Float64 numbers that depend on sizes and seed only."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sizes, generator=generator, dtype=torch.float64)


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with other numbers than fresh ones everywhere: in parameters and statistics."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data.normal_(generator=generator)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=generator)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5, generator=generator)
    return network


def _double(samples: Batch) -> Batch:
    inputs = samples.inputs
    if inputs.is_floating_point():
        inputs = inputs.double()
    return Batch(inputs, samples.labels, samples.positions)
