"""Ways to per-sample squared gradients of some batches, each as its own documentation says.

The slow ones take one batch.

Where a package does not support a layer, the layer's parameters are frozen for it, which makes it
faster than it would be: those figures are lower bounds. `Unsupported` says why there is none.
"""

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks.tools.timing import Run
from workers.unlearning.batches import Batch
from workers.unlearning.importances import fisher_sums


class Unsupported(Exception):
    """The package cannot do it for this network."""


def plain(network: nn.Module, batches: list[Batch]) -> Run:
    """Forward and backward passes: what training costs."""
    network = copy.deepcopy(network).requires_grad_(True)

    def run() -> None:
        for batch in batches:
            network.zero_grad()
            loss = nn.functional.cross_entropy(network(batch.inputs), batch.labels)
            torch.autograd.backward(loss)

    return run


def ours(network: nn.Module, batches: list[Batch]) -> Run:
    """The pass of this project, as enrolment uses it: it makes batches of its own."""
    return lambda: fisher_sums(network, batches)


def ours_as_delivered(network: nn.Module, batches: list[Batch]) -> Run:
    """The pass of this project in the batches that it is given."""
    return lambda: fisher_sums(network, batches, batch_size=len(batches[0]))


def plain_channels_last(network: nn.Module, batches: list[Batch]) -> Run:
    """A plain pass in the other layout of memory, which some convolutions like better."""
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)
    turned = [
        Batch(
            batch.inputs.contiguous(memory_format=torch.channels_last),
            batch.labels,
            batch.positions,
        )
        for batch in batches
    ]
    return plain(network, turned)


def ours_reproducible(network: nn.Module, batches: list[Batch]) -> Run:
    """The reproducible pass of this project, as requests use it, in the batches it is given."""
    return lambda: fisher_sums(network, batches, batch_size=len(batches[0]), reproducible=True)


def loop(network: nn.Module, batches: list[Batch]) -> Run:
    """One sample at a time."""
    (batch,) = batches
    network = copy.deepcopy(network).requires_grad_(True)
    parameters = list(network.parameters())

    def run() -> None:
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        for row in range(len(batch)):
            sample = batch.part(row, row + 1)
            loss = nn.functional.cross_entropy(network(sample.inputs), sample.labels)
            for total, gradient in zip(totals, torch.autograd.grad(loss, parameters), strict=True):
                total.addcmul_(gradient, gradient)

    return run


def by_vmap(network: nn.Module, batches: list[Batch], *, chunk: int) -> Run:
    """`vmap(grad)`, `chunk` samples at once."""
    (batch,) = batches
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def loss(values: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, values, (image[None],))
        return nn.functional.cross_entropy(logits, label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))

    def run() -> None:
        totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
        for start in range(0, len(batch), chunk):
            some = batch.part(start, start + chunk)
            for name, gradient in gradients(parameters, some.inputs, some.labels).items():
                totals[name] += gradient.square_().sum(dim=0)

    return run


def backpack(network: nn.Module, batches: list[Batch]) -> Run:
    """BackPACK's SumGradSquared."""
    (batch,) = batches
    from backpack import backpack as context
    from backpack import extend
    from backpack.extensions import SumGradSquared

    try:
        extended = extend(copy.deepcopy(network).requires_grad_(True), use_converter=True).eval()
        loss = extend(nn.CrossEntropyLoss(reduction="sum"))

        def run() -> None:
            extended.zero_grad()
            with context(SumGradSquared()):
                torch.autograd.backward(loss(extended(batch.inputs), batch.labels))

        run()
    except Exception as error:
        raise Unsupported(f"{type(error).__name__}: {str(error)[:200]}") from error
    return run


def opacus(network: nn.Module, batches: list[Batch]) -> Run:
    """Opacus' GradSampleModule; the parameters of layers that it refuses are frozen."""
    (batch,) = batches
    from opacus import GradSampleModule

    # It looks at modules in train mode only; there is no dropout here, and statistics stay running.
    supported = copy.deepcopy(network).requires_grad_(False).train()
    for module in supported.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
        elif isinstance(module, nn.Conv2d | nn.Linear | nn.LayerNorm):
            module.requires_grad_(True)
    for module in supported.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.requires_grad_(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = GradSampleModule(supported, loss_reduction="sum", strict=False)
        trained = [p for p in wrapped.parameters() if p.requires_grad]

        def run() -> None:
            wrapped.zero_grad()
            logits = wrapped(batch.inputs)
            loss = nn.functional.cross_entropy(logits, batch.labels, reduction="sum")
            torch.autograd.backward(loss)
            for parameter in trained:
                parameter.grad_sample.square_().sum(dim=0)
                parameter.grad_sample = None

        run()
    except Exception as error:
        raise Unsupported(f"{type(error).__name__}: {str(error)[:200]}") from error
    return run
