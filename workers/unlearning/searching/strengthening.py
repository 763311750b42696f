"""A smaller λ, where α alone has forgotten too little or costs somebody something.

Along a cohort's scale (`scale.py`) α selects weights, and from α = 1 up λ stays at 1: a weight that
matters to the forgotten samples α times as much as to the others keeps up to 1/α of itself. Where
that is not enough at any α that harms nobody, the same weights can be dampened more. Where it is
enough, but costs those that stay something, fewer weights, each dampened more, may cost them less;
and so they may where dampening the same weights more has turned out to be too dear.
"""

from collections.abc import Callable, Collection, Mapping

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.probing.standing import NEGLIGIBLE, ROUNDING
from workers.unlearning.searching.preference import best_passing, nearest_harmless
from workers.unlearning.searching.scale import RESOLUTION
from workers.unlearning.searching.trials import Limits, Trial
from workers.unlearning.tuning import Setting, stronger

# What λ is divided by, and how often at most: a hundredth does hardly more than a ninth.
LAMBDA_DIVISOR, MOST_DIVISIONS = 3.0, 2


def strengthen(
    trials: list[Trial],
    cohorts: Collection[Cohort],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
) -> list[Trial]:
    """Try a smaller λ for `cohorts` than the best of `trials` has; all of them in order.

    It ends where nothing is to be gained, or where the last candidate was no better.
    """
    trials = list(trials)
    for _ in range(MOST_DIVISIONS):
        best = _best(trials)
        if best is None or best.judgement.is_ideal or limits.reached(len(trials)):
            break
        changed = _dampened_more(best, cohorts)
        if not changed:
            break
        trials.append(attempt({**best.settings, **changed}))
        if _best(trials) is trials[-1]:
            continue
        if not _short(trials[-1].judgement).intersection(changed):
            _try_fewer_weights(trials, changed, attempt, limits)
        break
    return trials


def _try_fewer_weights(
    trials: list[Trial],
    enough: Mapping[Cohort, Setting],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
) -> None:
    """The last of `trials`, with `enough`, forgot and was too dear: select half a step less of it.

    Or a quarter, if that is too little.
    """
    settings = trials[-1].settings
    for less in (RESOLUTION, RESOLUTION / 2):
        if limits.reached(len(trials)):
            break
        fewer = {cohort: stronger(setting, -less) for cohort, setting in enough.items()}
        trials.append(attempt({**settings, **fewer}))
        if not _short(trials[-1].judgement).intersection(enough):
            break


def _best(trials: list[Trial]) -> Trial | None:
    """If none passes it is the strongest of those that come nearest without damage."""
    return best_passing(trials) or max(
        nearest_harmless(trials), key=lambda trial: trial.change, default=None
    )


def _dampened_more(best: Trial, cohorts: Collection[Cohort]) -> dict[Cohort, Setting]:
    """New settings: of the cohorts that are short; if none is, of those that may cost less."""
    short = _short(best.judgement)
    found = {
        cohort: _with_smaller_strength(best.settings[cohort])
        for cohort in cohorts
        if cohort in short
    }
    if found or best.judgement.falls.loss <= NEGLIGIBLE + ROUNDING:
        return found
    return {
        cohort: _with_smaller_strength(stronger(best.settings[cohort], -RESOLUTION))
        for cohort in cohorts
        if best.judgement.standings[cohort].rule is Rule.CHANCE
    }


def _short(judgement: Judgement) -> set[Cohort]:
    """Cohorts of which something is left, or what keeps the candidate from passing."""
    return {
        cohort
        for cohort, standing in judgement.standings.items()
        if standing.leaves_some
        or (judgement.closeness_of(cohort) is Closeness.FAMILIAR and not judgement.passes)
    }


def _with_smaller_strength(setting: Setting) -> Setting:
    return Setting(setting.selection, setting.strength / LAMBDA_DIVISOR)
