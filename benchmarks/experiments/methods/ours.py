"""Our own way: exact sums, cohorts by label, α and λ searched for, and a gate before publishing.

The network that comes out is the one that would be served: where the gate holds every candidate
back, that is the one there was. Search and gate look at the holdout, which no other method gets.
Accuracies are not of it, but the loss-based attack's unseen samples are part of it. Sums are those
that a network is enrolled with if nothing is said, or for comparison empirical ones.
"""

from copy import deepcopy

from torch import nn

from benchmarks.experiments.laboratory import OWN_ESTIMATOR, Subject
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.placement import device_of
from benchmarks.experiments.tasks import Task
from benchmarks.tools.timing import clock_of, finish
from models.documents import Decision
from workers.unlearning.estimators import Estimator, empirical


def ours(network: nn.Module, task: Task, _seed: int) -> Noted:
    """With the sums that are the default."""
    return _forgetful(network, task, OWN_ESTIMATOR)


def ours_empirical(network: nn.Module, task: Task, _seed: int) -> Noted:
    """With the empirical Fisher sums."""
    return _forgetful(network, task, empirical())


def _forgetful(network: nn.Module, task: Task, estimator: Estimator) -> Noted:
    """Enrol, then forget. A service has enrolled long before; `request_seconds` are without."""
    subject = Subject.enrolled(network, task.train, task.holdout, estimator)
    finish()
    clock = clock_of(device_of(network))
    started = clock()
    found = subject.forget(task.forgotten)
    finish()
    seconds = clock() - started
    served = deepcopy(network)
    if found.decision is not Decision.NEEDS_REVIEW:
        served.load_state_dict(found.weights)
    return Noted(
        served,
        {
            "decision": found.decision.value,
            "candidates": len(found.trials),
            "request_seconds": seconds,
            "reasons": [*found.chosen.judgement.damage, *found.chosen.judgement.shortfalls],
        },
    )
