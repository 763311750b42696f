"""Trials: what every way of choosing a setting works with, and how many of them there may be."""

import time
from dataclasses import dataclass, field

from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.tuning import Setting


@dataclass(frozen=True)
class Trial:
    """One candidate: its settings, what the gate says, and the norm of the change of weights."""

    settings: dict[Cohort, Setting]
    judgement: Judgement
    change: float


@dataclass(frozen=True)
class Limits:
    """How long a search may take, from when they are set."""

    candidates: int
    seconds: float
    started: float = field(default_factory=time.monotonic)

    def reached(self, tried: int) -> bool:
        """Whether no further candidate may be tried. The first one always may."""
        late = time.monotonic() - self.started > self.seconds
        return tried >= self.candidates or (tried > 0 and late)
