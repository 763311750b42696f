"""Networks under management, each enrolled once for all tasks of its recipe and seed."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from benchmarks.experiments.laboratory import OWN_ESTIMATOR, Forgotten, Subject
from benchmarks.experiments.placement import device_of
from benchmarks.experiments.tasks import Task
from benchmarks.experiments.training import Networks, Recipe
from benchmarks.tools.timing import clock_of, finish
from models.specifications import AdaptiveMethod, Method
from workers.unlearning.estimators import Estimator


@dataclass(frozen=True)
class Request:
    """What came of a deletion request on a device, and its seconds without enrolment's."""

    found: Forgotten
    seconds: float
    device: torch.device

    def network(self, recipe: Recipe) -> nn.Module:
        """The candidate, whatever the gate says of it."""
        network = recipe.build(seed=0)
        network.load_state_dict(self.found.weights)
        return network.to(self.device)

    @property
    def notes(self) -> dict[str, Any]:
        """What is worth keeping of it."""
        chosen = self.found.chosen
        return {
            "decision": self.found.decision.value,
            "candidates": len(self.found.trials),
            "request_seconds": self.seconds,
            "settings": {
                cohort.name: {"alpha": setting.selection, "lambda": setting.strength}
                for cohort, setting in chosen.settings.items()
            },
            "reasons": chosen.judgement.reasons,
        }


@dataclass(frozen=True, eq=False)
class Subjects:
    """All tasks of one recipe must have the same training samples."""

    networks: Networks
    estimator: Estimator = OWN_ESTIMATOR
    _enrolled: dict[tuple[Recipe, int], Subject] = field(default_factory=dict)

    def of(self, task: Task, seed: int) -> Subject:
        """The network that `seed` trains for the task, as if nothing had been forgotten yet."""
        key = (task.recipe, seed)
        if key not in self._enrolled:
            network = self.networks.trained(task.recipe, task.train, seed)
            subject = Subject.enrolled(network, task.train, task.holdout, self.estimator)
            # Loops are compiled when they are first used; in a service, long before a request.
            subject.forget(task.forgotten, method=AdaptiveMethod(method="adaptive"))
            self._enrolled[key] = subject
        return self._enrolled[key].afresh()

    def request(self, task: Task, seed: int, method: Method) -> Request:
        """Forget what the task says, by a method of the product."""
        subject = self.of(task, seed)
        device = device_of(subject.network)
        clock = clock_of(device)
        finish()
        started = clock()
        found = subject.forget(task.forgotten, method=method)
        finish()
        return Request(found, clock() - started, device)
