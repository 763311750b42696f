"""Choosing: which candidate of a ladder is taken."""

from dataclasses import dataclass

from workers.unlearning.mixing import Mixture
from workers.unlearning.searching.preference import best_passing, nearest
from workers.unlearning.searching.workbench import Tried, Workbench


@dataclass(frozen=True)
class Choice:
    """All candidates in order, the place of the one that is taken, and its weights."""

    ladder: list[Tried]
    rung: int
    mixture: Mixture

    @property
    def chosen(self) -> Tried:
        """The candidate that is taken."""
        return self.ladder[self.rung]


def choose(bench: Workbench) -> Choice:
    """Take the best candidate that passes; if none does, the nearest without too much damage.

    It is judged by all of the probe.
    """
    while True:
        trials = [tried.trial for tried in bench.ladder]
        taken = best_passing(trials) or nearest(trials)
        rung = trials.index(taken)
        if bench.ladder[rung].is_whole:
            return Choice(bench.ladder, rung, bench.mixer.mix(taken.settings))
        bench.complete(rung)
