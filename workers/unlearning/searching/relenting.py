"""Precautions give way: where only they may be in the way of a candidate that forgets.

Cohorts of which the base shows nothing are dampened at their seeds all the same. That costs
something, and together with what another cohort costs, which has something to forget, it may be too
much. The search looks for a gentler setting of that one then, and may find none that forgets. So if
it has found nothing that passes, but a candidate against which nothing speaks but damage, the
precautions are dampened less there.
"""

from collections.abc import Callable, Collection, Mapping

from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.searching.preference import best_passing
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import Setting, stronger

# Steps by which they get gentler, one after another: with the last next to nothing is dampened.
STEPS = (1.0, 2.0, 4.0, 8.0)


def relent(
    trials: list[Trial],
    precautions: Collection[Cohort],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
) -> list[Trial]:
    """Try gentler settings for `precautions`, until a candidate passes; all trials in order."""
    trials = list(trials)
    dear = [trial for trial in trials if _only_damages(trial.judgement)]
    if not (dear and precautions) or best_passing(trials):
        return trials
    start = min(dear, key=lambda trial: trial.change).settings
    for steps in STEPS:
        if limits.reached(len(trials)):
            break
        gentler = {cohort: stronger(start[cohort], -steps) for cohort in precautions}
        trial = attempt({**start, **gentler})
        trials.append(trial)
        # It stays as it was where they must not be dampened less than before.
        if not _only_damages(trial.judgement) or trial.settings == start:
            break
    return trials


def _only_damages(judgement: Judgement) -> bool:
    return bool(judgement.damage) and judgement.reasons == judgement.damage
