"""Going deeper: forgetting a label below the last layer too, as far as that costs nothing.

A candidate that recognises nobody of a label may know it all the same: with the base's last layer
put back it recognises many. A stronger setting takes that away as well, and often nobody else loses
by it. So once a search has found a candidate that passes, those cohorts of which something is left
below get stronger, while the candidate remains one of the cheapest there are.
"""

from collections.abc import Callable, Collection, Mapping

from workers.unlearning.cohorts import Cohort
from workers.unlearning.search import RESOLUTION, Limits, Trial, best_passing, cheapest
from workers.unlearning.tuning import Setting, setting_at


def deepen(
    trials: list[Trial],
    cohorts: Collection[Cohort],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
) -> list[Trial]:
    """Try stronger candidates than the best of `trials`, and return all of them in order.

    Only `cohorts` get stronger, a rung at a time, and after one too many by halves of it, down to
    the resolution of the search.
    """
    trials = list(trials)
    deepest = best_passing(trials)
    step, too_far = 1.0, False
    while deepest and step >= RESOLUTION and not limits.reached(len(trials)):
        shallow = deepest.judgement.shallow.intersection(cohorts)
        if not shallow:
            break
        stronger = {
            cohort: stepped(setting, step) if cohort in shallow else setting
            for cohort, setting in deepest.settings.items()
        }
        trials.append(attempt(stronger))
        if trials[-1] in cheapest(trials):
            deepest = trials[-1]
        else:
            too_far = True
        # From the first step too far on, the next goes half-way.
        step = step / 2 if too_far else step
    return trials


def stepped(setting: Setting, step: float) -> Setting:
    """The setting so many steps stronger, on the ladder that it is of."""
    return setting_at(setting.selection, step)
