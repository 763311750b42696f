"""Bad teaching (Chundawat et al., arXiv 2205.08096).

A student, at first the network itself, learns what the network says of retained samples, and what
a network with random weights says of forgotten ones:

    loss(x) = KL(t(x) ‖ s(x)),   t = the random network if x is forgotten, else the network

The one epoch is as published, or for comparison there are 24 of them: for a class of 2 000 images
these make 72 steps, as one does for a tenth of the 50 000 that it was chosen for.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.experiments.optimisation import trainable_copy
from benchmarks.experiments.placement import device_of
from benchmarks.experiments.tasks import Task
from benchmarks.experiments.training import another
from workers.unlearning.batches import joined

EPOCHS = 1
LONGER = 24
BATCH = 256
LEARNING_RATE = 1e-4
# Of the retained samples, so many are shown again.
RETAINED_SHARE = 0.3


@dataclass(frozen=True)
class Teachers:
    """The network as it was, and one that knows nothing."""

    competent: nn.Module
    incompetent: nn.Module

    @torch.no_grad()
    def probabilities(self, inputs: Tensor, forgotten: Tensor) -> Tensor:
        """What the student is to say, [b, classes]; `forgotten` is a mask."""
        return torch.where(
            forgotten[:, None],
            self.incompetent(inputs).softmax(dim=1),
            self.competent(inputs).softmax(dim=1),
        )


def bad_teacher(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """With the published epoch."""
    return _taught(network, task, seed, epochs=EPOCHS)


def bad_teacher_longer(network: nn.Module, task: Task, seed: int) -> nn.Module:
    """With more of them."""
    return _taught(network, task, seed, epochs=LONGER)


def _taught(network: nn.Module, task: Task, seed: int, *, epochs: int) -> nn.Module:
    """Adam on the forgotten samples and a part of the retained ones."""
    device = device_of(network)
    teachers = Teachers(network, task.recipe.build(another(seed)).to(device))
    retain, forget = task.retain, task.forget
    shown = torch.randperm(len(retain))[: int(RETAINED_SHARE * len(retain))]
    samples = joined([forget, retain.rows(shown)]).to(device)
    forgotten = torch.arange(len(samples), device=device) < len(forget)
    student = trainable_copy(network)
    optimiser = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(samples)), BATCH):
            optimiser.zero_grad()
            inputs = samples.inputs[rows]
            target = teachers.probabilities(inputs, forgotten[rows])
            said = student(inputs).log_softmax(dim=1)
            torch.autograd.backward(nn.functional.kl_div(said, target, reduction="batchmean"))
            optimiser.step()
    return student.eval()
