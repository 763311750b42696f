"""Going deeper: forgetting a label below the last layer too, as far as that costs nothing.

A candidate that recognises nobody of a label may know it all the same: with the base's last layer
put back it recognises many. A stronger setting takes that away as well, and often nobody else loses
by it. So once a search has found a candidate that passes, those cohorts of which something is left
below get stronger, while the candidate remains one of the cheapest there are.
"""

import math
from collections.abc import Callable, Collection, Mapping

from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.standing import NEGLIGIBLE
from workers.unlearning.searching.preference import best_passing, cheapest
from workers.unlearning.searching.scale import RESOLUTION
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import Setting, stronger

# So many moves that take next to nothing away are enough.
PATIENCE = 3


def deepen(
    trials: list[Trial],
    cohorts: Collection[Cohort],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
) -> list[Trial]:
    """Try stronger candidates than the best of `trials`, and return all of them in order.

    Only `cohorts` get stronger, a step at a time, and after one too many by halves of it, down to
    the resolution of the search.
    """
    trials = list(trials)
    deepest = best_passing(trials)
    stride, too_far, in_vain = 1.0, False, 0
    while deepest and stride >= RESOLUTION and in_vain < PATIENCE:
        shallow = deepest.judgement.shallow.intersection(cohorts)
        if not shallow:
            break
        deeper = {
            cohort: stronger(setting, stride) if cohort in shallow else setting
            for cohort, setting in deepest.settings.items()
        }
        trial = _on_record(trials, deeper)
        if trial is None:
            if limits.reached(len(trials)):
                break
            trial = attempt(deeper)
            trials.append(trial)
        if _is_as_good(trial, deepest, trials):
            gained = deepest.judgement.left_below - trial.judgement.left_below
            in_vain = 0 if gained > NEGLIGIBLE else in_vain + 1
            deepest = trial
        else:
            too_far = True
        # From the first move too far on, the next goes half-way.
        stride = stride / 2 if too_far else stride
    return trials


def _on_record(trials: list[Trial], settings: Mapping[Cohort, Setting]) -> Trial | None:
    """The trial of these settings, but for rounding; None if they were not tried."""
    for trial in trials:
        if all(_are_close(trial.settings[cohort], setting) for cohort, setting in settings.items()):
            return trial
    return None


def _are_close(one: Setting, other: Setting) -> bool:
    return math.isclose(one.selection, other.selection, rel_tol=1e-9) and math.isclose(
        one.strength, other.strength, rel_tol=1e-9
    )


def _is_as_good(trial: Trial, other: Trial, trials: list[Trial]) -> bool:
    """Whether it costs next to nothing and is no farther from the target."""
    near = trial.judgement.distance == 0 or other.judgement.distance > 0
    return near and trial in cheapest(trials)
