"""Our own way: exact sums, cohorts by label, α and λ searched for, and a gate before publishing.

The network that comes out is the one that would be served: where the gate holds every candidate
back, that is the one there was. The holdout that the search looks at is not what figures are of.
Sums are those that such a network is enrolled with if nothing is said, or for comparison the other
ones: label-free for a transformer, and else empirical.
"""

import time
from copy import deepcopy

from torch import nn

from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.networks import NETWORKS
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.tasks import Task
from benchmarks.timing import finish
from models.specifications import EmpiricalEstimator, EstimatorSpec, LabelFreeEstimator
from workers.unlearning.estimators import estimator_of
from workers.unlearning.judgement import Decision


def ours(network: nn.Module, task: Task, _seed: int) -> Noted:
    """With the sums that are its default."""
    return _forgetful(network, task, NETWORKS[task.recipe.network].estimator)


def ours_other_sums(network: nn.Module, task: Task, _seed: int) -> Noted:
    """With the others."""
    own = NETWORKS[task.recipe.network].estimator
    other = LabelFreeEstimator() if own.kind == "empirical" else EmpiricalEstimator()
    return _forgetful(network, task, other)


def _forgetful(network: nn.Module, task: Task, estimator: EstimatorSpec) -> Noted:
    """Enrol, then forget. A service has enrolled long before; `request_seconds` are without."""
    subject = Subject.enrolled(network, task.train, task.holdout, estimator_of(estimator))
    finish()
    started = time.perf_counter()
    found = subject.forget(task.forgotten)
    seconds = time.perf_counter() - started
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
