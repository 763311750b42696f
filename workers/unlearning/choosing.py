"""Choosing: which candidate of a ladder is taken."""

from dataclasses import dataclass

from workers.unlearning.mixing import Mixture
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
    """Take the best candidate that passes; if none does, the nearest without too much damage."""
    rung = bench.take()
    return Choice(bench.ladder, rung, bench.mixer.mix(bench.ladder[rung].trial.settings))
