"""How α and λ are found: one function a method, all of them in `METHODS`."""

from collections.abc import Callable, Mapping

from models.documents import Closeness
from models.specifications import AutoMethod, FixedMethod, Method
from workers.unlearning.searching.deepening import deepen
from workers.unlearning.searching.relenting import relent
from workers.unlearning.searching.search import search
from workers.unlearning.searching.strengthening import strengthen
from workers.unlearning.searching.trials import Limits
from workers.unlearning.searching.workbench import Workbench
from workers.unlearning.tuning import Setting, seed_selection


def auto(method: Method, bench: Workbench) -> None:
    """Search from the adaptive seeds for the α that forgets at least cost; then λ, then deeper."""
    assert isinstance(method, AutoMethod)
    seeds = {cohort: bench.seed(cohort) for cohort in bench.cohorts}
    at_base = {cohort: bench.gate.closeness_at_base(cohort) for cohort in bench.gate.at_base}
    limits = Limits(candidates=method.max_candidates, seconds=method.max_seconds)
    trials = search(seeds, at_base, bench.attempt, limits, bench.floors)
    precautions = [cohort for cohort in seeds if at_base[cohort] is Closeness.ALIKE]
    trials = relent(trials, precautions, bench.attempt, limits)
    # Of what the base does not know nothing tells what is enough; what has a floor was tuned once,
    # unless it shows something only now that others are looked at with it.
    tuned_once = {c for c in bench.floors if bench.gate.at_base[c].closeness is at_base[c]}
    open_to_more = [c for c in seeds if c not in tuned_once and at_base[c] is not Closeness.ALIKE]
    trials = strengthen(trials, open_to_more, bench.attempt, limits)
    deepen(trials, bench.cohorts, bench.attempt, limits)


def adaptive(_method: Method, bench: Workbench) -> None:
    """The percentile rule alone; its strength is 1."""
    seeds = {cohort: seed_selection(bench.seed(cohort)) for cohort in bench.cohorts}
    bench.attempt({cohort: Setting(seed, 1.0) for cohort, seed in seeds.items()})


def fixed(method: Method, bench: Workbench) -> None:
    """What the policy says."""
    assert isinstance(method, FixedMethod)
    setting = Setting(selection=method.selection, strength=method.strength)
    bench.attempt(dict.fromkeys(bench.cohorts, setting))


METHODS: Mapping[str, Callable[[Method, Workbench], None]] = {
    "auto": auto,
    "adaptive": adaptive,
    "fixed": fixed,
    # The rule is the same; that the sums are label-free is checked when a policy is set.
    "label_free": adaptive,
}
