"""How selection and strength are found: one function a method, all of them in `METHODS`."""

from collections.abc import Callable, Mapping

from models.specifications import AdaptiveMethod, FixedMethod
from workers.unlearning.dampening import Population
from workers.unlearning.importances import Sums
from workers.unlearning.tuning import Setting, adaptive_selection


def adaptive(
    _method: AdaptiveMethod | FixedMethod, full: Sums, forget: Sums, population: Population
) -> Setting:
    """The percentile rule; its strength is 1."""
    return Setting(selection=adaptive_selection(full, forget, population), strength=1.0)


def fixed(
    method: AdaptiveMethod | FixedMethod, _full: Sums, _forget: Sums, _population: Population
) -> Setting:
    """What the policy says."""
    assert isinstance(method, FixedMethod)
    return Setting(selection=method.selection, strength=method.strength)


METHODS: Mapping[str, Callable[[AdaptiveMethod | FixedMethod, Sums, Sums, Population], Setting]] = {
    "adaptive": adaptive,
    "fixed": fixed,
}
