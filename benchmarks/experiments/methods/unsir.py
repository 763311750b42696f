"""UNSIR: unlearning by error-maximising noise (Tarun et al., arXiv 2111.08947).

Images of noise are made that the network least takes for the forgotten label; learning them under
that very label impairs what it knew of it, and some retained samples then repair the rest:

    noise   = argmin over z of  −cross-entropy(f(z), label) + 0.1 · mean ‖z‖²
    impair  = learn noise and retained samples
    repair  = learn retained samples

It needs a label to impair, so it cannot forget random samples; the published comparison leaves it
out there as well.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from benchmarks.experiments.optimisation import minimise_cross_entropy, trainable_copy
from benchmarks.experiments.placement import device_of
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.tasks import Kind, Task
from workers.unlearning.batches import Batch, joined

NOISE_STEPS = {Kind.CLASS: 25, Kind.SUBCLASS: 250}
NOISE_RATE = 0.1
NOISE_PENALTY = 0.1
NOISE_IMAGES = 32
# How often every image of noise is shown.
NOISE_COPIES = 80
RETAINED_OF_EACH_LABEL = 500
LEARNING_RATE = 1e-4
IMPAIR_BATCH = 32
REPAIR_BATCH = 128


def unsir(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """Make noise, impair, repair.

    Raises:
        NotApplicable: what is to be forgotten is not of one label.

    """
    if task.kind not in NOISE_STEPS:
        raise NotApplicable("noise is made against a label, and random samples have many")
    torch.manual_seed(seed)
    label = int(task.forget.labels[0])
    noise = error_maximising_noise(network, task, label, steps=NOISE_STEPS[task.kind])
    inputs = noise.repeat(NOISE_COPIES, 1, 1, 1)
    shown = Batch.of(inputs, torch.full((len(inputs),), label))
    retained = some_retained(task)
    impaired = trainable_copy(network)
    for samples, batch_size in (
        (joined([shown, retained]), IMPAIR_BATCH),
        (retained, REPAIR_BATCH),
    ):
        optimiser = torch.optim.Adam(impaired.parameters(), lr=LEARNING_RATE)
        minimise_cross_entropy(impaired, samples, optimiser, epochs=1, batch_size=batch_size)
    return impaired.eval()


def error_maximising_noise(network: nn.Module, task: Task, label: int, *, steps: int) -> Tensor:
    """Images [32, c, h, w] that the network, as it is, takes for anything but `label`."""
    frozen = deepcopy(network).requires_grad_(False)
    shape = (NOISE_IMAGES, *task.train.inputs.shape[1:])
    noise = torch.randn(shape).to(device_of(network)).requires_grad_(True)
    labels = torch.full((NOISE_IMAGES,), label, device=noise.device)
    optimiser = torch.optim.Adam([noise], lr=NOISE_RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        penalty = NOISE_PENALTY * noise.square().sum(dim=(1, 2, 3)).mean()
        error = nn.functional.cross_entropy(frozen(noise), labels)
        torch.autograd.backward(penalty - error)
        optimiser.step()
    return noise.detach().cpu()


def some_retained(task: Task) -> Batch:
    """Up to 500 retained samples of each of the dataset's labels."""
    rows = [
        ((task.fine == label) & ~task.forgotten).nonzero().flatten()[:RETAINED_OF_EACH_LABEL]
        for label in sorted(set(task.fine.tolist()))
    ]
    return task.train.rows(torch.cat(rows))
