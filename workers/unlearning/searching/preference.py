"""What makes one candidate better than another.

Of those that pass it is the cost; where none does, how near they come without too much damage. What
costs next to nothing is as good as what costs nothing, and of equals a gentler one is better.
"""

from collections.abc import Sequence

from workers.unlearning.probing.standing import NEGLIGIBLE, ROUNDING
from workers.unlearning.searching.trials import Trial


def best_passing(trials: Sequence[Trial]) -> Trial | None:
    """The best of the cheapest candidates; None if none passes.

    It is one that reaches the target if any does, of those the one that leaves least below the
    last layer, and of equals the one that changes the weights least.
    """
    return min(cheapest(trials), key=_preference, default=None)


def cheapest(trials: Sequence[Trial]) -> list[Trial]:
    """The candidates that pass and cost next to nothing; if none does, those that cost least."""
    return _costing_least([trial for trial in trials if trial.judgement.passes])


def _costing_least(trials: Sequence[Trial]) -> list[Trial]:
    least = min((trial.judgement.cost for trial in trials), default=0.0)
    return [t for t in trials if t.judgement.cost <= max(least, NEGLIGIBLE) + ROUNDING]


def _preference(trial: Trial) -> tuple[bool, float, float]:
    judgement = trial.judgement
    return judgement.distance > 0, judgement.left_below, trial.change


def nearest(trials: Sequence[Trial]) -> Trial:
    """The candidate nearest to the target among those that damage no more than allowed.

    Of equals it is one that costs least, and of these the gentlest. If all of them damage, it is
    the gentlest.
    """
    near = nearest_harmless(trials)
    return min(_costing_least(near) if near else trials, key=lambda trial: trial.change)


def nearest_harmless(trials: Sequence[Trial]) -> list[Trial]:
    """Those that damage no more than allowed and come as near to the target as any of them."""
    undamaging = [trial for trial in trials if not trial.judgement.damage]
    # What was forgotten once is not given back for coming nearer elsewhere.
    harmless = [t for t in undamaging if not t.judgement.given_back] or undamaging
    least = min((trial.judgement.distance for trial in harmless), default=0.0)
    return [trial for trial in harmless if trial.judgement.distance <= least + ROUNDING]
