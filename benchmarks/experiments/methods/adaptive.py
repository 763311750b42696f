"""The percentile rule of adaptive SSD (arXiv 2402.10098) on exact per-sample sums.

    retain = full − forget,   α = the (100 − ln(1 + 100·n/N)) percentile of I_f / I_r,   λ = 1

All forgotten samples are one cohort. Its authors' notebook takes squared gradients of batches, of
the forgotten samples and of the retained ones, each by a pass of its own. Here the rule is given
sums over samples: empirical ones, whose gradients are of the same loss, or those that a network is
enrolled with if nothing is said.
"""

from copy import deepcopy

from torch import nn

from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.tasks import Task
from workers.unlearning.dampening import Population, apply_factors, tighten, unit_factors
from workers.unlearning.estimators import Estimator, empirical, label_free
from workers.unlearning.importances import fisher_sums
from workers.unlearning.tuning import adaptive_selection


def adaptive_empirical(network: nn.Module, task: Task, _seed: int) -> nn.Module:
    """With the empirical Fisher sums; nothing is drawn."""
    return _dampened(network, task, empirical())


def adaptive_label_free(network: nn.Module, task: Task, _seed: int) -> nn.Module:
    """With label-free sums, which are this service's own; nothing is drawn."""
    return _dampened(network, task, label_free())


def _dampened(network: nn.Module, task: Task, estimator: Estimator) -> nn.Module:
    samples = task.forget
    full = fisher_sums(network, in_parts(network, task.train), estimator=estimator)
    forget = fisher_sums(network, in_parts(network, samples), estimator=estimator)
    population = Population(total=len(task.train), forgotten=len(samples))
    selection = adaptive_selection(full, forget, population)
    factors = unit_factors(full)
    tighten(factors, full, forget, population, selection=selection, strength=1.0)
    dampened = deepcopy(network)
    dampened.load_state_dict(apply_factors(network.state_dict(), factors))
    return dampened
