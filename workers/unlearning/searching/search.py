"""Finding the setting that forgets at least cost: every cohort on its own scale, judged together.

One trial is a setting for every cohort, the base dampened with all of them, and one look at the
probe. Each cohort then moves by what that look says of *it*: stronger if it is still familiar,
gentler if it has passed or looks stranger than unseen data, and half-way once both sides are known.
All move in the same trial, so the cost does not grow with the number of cohorts; and since every
trial is of the combination, a cohort that slips because of the others is seen, and moves again.

Damage belongs to the combination. While there is too much of it nobody gets stronger; once every
cohort has settled all the same, its place is a ceiling, and the search ends below it, as near to
the target as damage allows. A candidate that leaves nothing to be gained ends it at once. How a
cohort moves stands in `scale.py`; which candidate is best, in `preference.py`. From what was found
`relenting.py`, `strengthening.py` and `deepening.py` go on.
"""

from collections.abc import Callable, Mapping

from models.documents import Closeness
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.probing.standing import ROUNDING
from workers.unlearning.searching.scale import GENTLEST, Scale
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import Setting, step_of


def search(
    seeds: Mapping[Cohort, float],
    at_base: Mapping[Cohort, Closeness],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
    floors: Mapping[Cohort, Setting] | None = None,
) -> list[Trial]:
    """Try candidates from the seeds' α on; all of them in order.

    A cohort that the base already treats like unseen data is dampened at its seed: nothing tells
    how much would be enough. One that is in `floors` is never dampened less than that.
    """
    scales = {
        cohort: Scale(seed, at_base[cohort] is Closeness.ALIKE, _floor(cohort, seed, floors or {}))
        for cohort, seed in seeds.items()
    }
    trials: list[Trial] = []
    tried: set[tuple[float, ...]] = set()
    while not limits.reached(len(trials)):
        steps = tuple(scale.step for scale in scales.values())
        if steps in tried:
            break
        tried.add(steps)
        trial = attempt({c: scale.setting for c, scale in scales.items()})
        trials.append(trial)
        if trial.judgement.is_ideal:
            break
        _learn(list(scales.items()), trial.judgement)
    return trials


def _floor(cohort: Cohort, seed: float, floors: Mapping[Cohort, Setting]) -> float:
    if cohort not in floors:
        return GENTLEST
    # Not gentler by a rounding, either. What the floor says of λ, whoever attempts sees to.
    return max(GENTLEST, step_of(floors[cohort], seed) + ROUNDING)


def _learn(scales: list[tuple[Cohort, Scale]], judgement: Judgement) -> None:
    damaged = bool(judgement.damage)
    before = [scale.step for _, scale in scales]
    needless = all(scale.blind for _, scale in scales)
    for cohort, scale in scales:
        scale.note(_aimed_at(cohort, judgement), damaged=damaged, needless=needless)
        scale.move(damaged=damaged, passes=judgement.passes)
    if damaged and before == [scale.step for _, scale in scales]:
        # What was dampened as a precaution only gives way before what has something to forget.
        precautions = [scale for _, scale in scales if scale.blind and scale.can_retreat]
        for scale in precautions or [scale for _, scale in scales]:
            scale.retreat()


def _aimed_at(cohort: Cohort, judgement: Judgement) -> Closeness:
    """How it stands to what the search aims at: that nothing is left, where that can be told."""
    if judgement.standings[cohort].leaves_some:
        return Closeness.FAMILIAR
    return judgement.closeness_of(cohort)
