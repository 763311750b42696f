"""A smaller λ, where α alone has forgotten too little or costs somebody something.

Along the ladder (`search.py`) α selects weights and λ stays at 1, so a weight that matters to the
forgotten samples α times as much as to the others keeps up to 1/α of itself. Where that is not
enough at any α that harms nobody, the same weights can be dampened more; where it is enough, but
costs some label more than next to nothing, fewer weights, each dampened more, may cost it less.
"""

from collections.abc import Callable, Collection, Iterator, Mapping

from workers.unlearning.cohorts import Cohort
from workers.unlearning.judgement import Judgement
from workers.unlearning.search import RESOLUTION, Limits, Trial, best_passing
from workers.unlearning.tuning import Setting, stronger
from workers.unlearning.verification import Closeness, Rule, Standing

# What λ is divided by, and how often at most: a hundredth does hardly more than a ninth.
STEP, STEPS = 3.0, 2


def strengthen(
    trials: list[Trial],
    cohorts: Collection[Cohort],
    attempt: Callable[[Mapping[Cohort, Setting]], Trial],
    limits: Limits,
) -> list[Trial]:
    """Try smaller λ than the best of `trials` has, and return all of them in order.

    It ends where nothing is to be gained, or where the last candidate was no better.
    """
    trials = list(trials)
    for _ in range(STEPS):
        best = _furthest(trials)
        if best is None or best.judgement.is_ideal or limits.reached(len(trials)):
            break
        changed = dict(_changed(best, cohorts))
        if not changed:
            break
        trials.append(attempt({**best.settings, **changed}))
        if _furthest(trials) is not trials[-1]:
            break
    return trials


def _furthest(trials: list[Trial]) -> Trial | None:
    """The best; or of those without damage, if none passes, the strongest that comes nearest."""
    harmless = (trial for trial in trials if not trial.judgement.damage)
    return best_passing(trials) or min(
        harmless, key=lambda trial: (trial.judgement.distance, -trial.change), default=None
    )


def _changed(best: Trial, cohorts: Collection[Cohort]) -> Iterator[tuple[Cohort, Setting]]:
    for cohort in cohorts:
        setting, standing = best.settings[cohort], best.judgement.standings[cohort]
        if _is_short(standing):
            yield cohort, _dampening_more(setting)
        elif _may_cost_less(standing, best.judgement):
            yield cohort, _dampening_more(stronger(setting, -RESOLUTION))


def _is_short(standing: Standing) -> bool:
    return standing.leaves_some or standing.closeness is Closeness.FAMILIAR


def _may_cost_less(standing: Standing, judgement: Judgement) -> bool:
    """Whether it is forgotten, and those that stay lose something by somebody."""
    return standing.rule is Rule.CHANCE and standing.accepted and not judgement.spares


def _dampening_more(setting: Setting) -> Setting:
    return Setting(setting.selection, setting.strength / STEP)
