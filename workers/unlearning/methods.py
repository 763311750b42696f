"""How α and λ are found: one function a method, all of them in `METHODS`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from models.specifications import AutoMethod, FixedMethod, Method
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.search import Limits, Trial, search
from workers.unlearning.tuning import Setting

Settings = Mapping[Cohort, Setting]


@dataclass(frozen=True)
class Bench:
    """What a method may try things on.

    `seed` gives a cohort's α by the adaptive rule; `attempt` makes a candidate and judges it.
    """

    gate: Gate
    seed: Callable[[Cohort], float]
    attempt: Callable[[Settings], Trial]

    @property
    def cohorts(self) -> Iterable[Cohort]:
        """All cohorts of what is forgotten."""
        return self.gate.probe.forgotten


def auto(method: Method, bench: Bench) -> list[Trial]:
    """Search from the adaptive seeds for the gentlest setting that forgets."""
    assert isinstance(method, AutoMethod)
    return search(
        {cohort: bench.seed(cohort) for cohort in bench.cohorts},
        {cohort: standing.closeness for cohort, standing in bench.gate.at_base.items()},
        bench.attempt,
        Limits(candidates=method.max_candidates, seconds=method.max_seconds),
    )


def adaptive(_method: Method, bench: Bench) -> list[Trial]:
    """The percentile rule alone; its strength is 1."""
    return [bench.attempt({cohort: Setting(bench.seed(cohort), 1.0) for cohort in bench.cohorts})]


def fixed(method: Method, bench: Bench) -> list[Trial]:
    """What the policy says."""
    assert isinstance(method, FixedMethod)
    setting = Setting(selection=method.selection, strength=method.strength)
    return [bench.attempt(dict.fromkeys(bench.cohorts, setting))]


METHODS: Mapping[str, Callable[[Method, Bench], list[Trial]]] = {
    "auto": auto,
    "adaptive": adaptive,
    "fixed": fixed,
    # The rule is the same; that the sums are label-free is checked when a policy is set.
    "label_free": adaptive,
}
