"""The percentile rule of adaptive SSD (arXiv 2402.10098) on exact per-sample sums.

    retain = full − forget,   α = the (100 − ln(1 + 100·n/N)) percentile of I_f / I_r,   λ = 1

All forgotten samples are one cohort. Its authors use gradients of batches, and `full` in place of
`retain`, as SSD does; here the rule is given exact sums.
"""

from copy import deepcopy

from torch import nn

from benchmarks.experiments.placement import in_parts
from benchmarks.experiments.tasks import Task
from workers.unlearning.dampening import Population, apply_factors, tighten, unit_factors
from workers.unlearning.importances import fisher_sums
from workers.unlearning.tuning import adaptive_selection


def adaptive(network: nn.Module, task: Task, _seed: int) -> nn.Module:
    """Dampen; nothing is drawn."""
    samples = task.forget
    full = fisher_sums(network, in_parts(network, task.train))
    forget = fisher_sums(network, in_parts(network, samples))
    population = Population(total=len(task.train), forgotten=len(samples))
    selection = adaptive_selection(full, forget, population)
    factors = unit_factors(full)
    tighten(factors, full, forget, population, selection=selection, strength=1.0)
    dampened = deepcopy(network)
    dampened.load_state_dict(apply_factors(network.state_dict(), factors))
    return dampened
