"""Keeping forgotten what an earlier version has forgotten.

Every run searches anew for all cohorts together, from the base, so that what comes out does not
depend on which request came first. A search that passes has forgotten all of them. One that does
not, or that was cut short, may have left a cohort gentler than the published version has it: what
was forgotten would be known again. So it is tried once more as it is dampened there, and nothing
that gives a cohort back is published by itself.
"""

from workers.unlearning.searching.workbench import Workbench
from workers.unlearning.tuning import at_least


def keep_forgotten(bench: Workbench) -> None:
    """If no candidate passes, and the nearest is gentler on cohorts than it may be, try it again.

    With those that are short dampened as before: one candidate more, whatever limits a search has.
    """
    near = bench.ladder[bench.take()].trial
    if near.judgement.passes:
        return
    as_before = {
        cohort: at_least(near.settings[cohort], kept.setting)
        for cohort, kept in bench.kept.items()
        if not near.judgement.standings[cohort].accepted
    }
    if any(setting != near.settings[cohort] for cohort, setting in as_before.items()):
        bench.attempt({**near.settings, **as_before})
