"""Finding the setting that forgets at least cost: every cohort on its own ladder, judged together.

One trial is a setting for every cohort, the base dampened with all of them, and one look at the
probe. Each cohort then moves by what that look says of *it*: stronger if it is still familiar,
gentler if it has passed or looks stranger than unseen data, and half-way once both sides are known.
All move in the same trial, so the cost does not grow with the number of cohorts; and since every
trial is of the combination, a cohort that slips because of the others is seen, and moves again.

Damage belongs to the combination. While there is too much of it nobody gets stronger; once every
cohort has settled all the same, the rung is a ceiling, and the search ends below it, as near to the
target as damage allows. A candidate that leaves nothing to be gained ends it at once. From what was
found `relenting.py`, `strengthening.py` and `deepening.py` go on.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from workers.unlearning.cohorts import Cohort
from workers.unlearning.judgement import Judgement
from workers.unlearning.tuning import Setting, rung_of, setting_at
from workers.unlearning.verification import NEGLIGIBLE, ROUNDING, Closeness

# Steps between a rung that passes and one that is too gentle, at which it is near enough; and
# between one that is too gentle and one that is too strong or damages, while none passes.
RESOLUTION, FINEST = 0.5, 0.125
# The gentlest rung: 1.5 ** 12 is 130 times the seed's α.
GENTLEST = -12.0
STRONGEST = 20.0


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


@dataclass
class _Ladder:
    """What is known of one cohort: rungs, in steps stronger than the seed."""

    seed: float
    # Whether the base already treats it like unseen data, so that nothing tells what is enough.
    blind: bool
    # It must not become gentler than this.
    floor: float = GENTLEST
    rung: float = 0.0
    # The strongest rung known to be too gentle and the gentlest known to be enough; the strongest
    # that did no damage and the gentlest that did, while nobody else could give way.
    too_gentle: float = -math.inf
    enough: float = math.inf
    harmless: float = -math.inf
    ceiling: float = math.inf
    # Whether the trial at `enough` cannot pass: it was more than enough, or there was damage.
    too_much: bool = False
    step: float = 1.0

    def __post_init__(self) -> None:
        self.rung = max(self.rung, self.floor)

    @property
    def can_retreat(self) -> bool:
        """Whether there is a gentler rung."""
        return self.rung > self.floor

    def note(self, closeness: Closeness, *, damaged: bool, needless: bool) -> None:
        """Learn from a trial at the present rung; `needless` if nobody has anything to forget."""
        if not damaged:
            self.harmless = max(self.harmless, self.rung)
        told_apart = closeness is Closeness.CONSPICUOUS or (
            closeness is Closeness.FAMILIAR and needless and self.can_retreat
        )
        if self.blind and told_apart:
            # Dampened for nothing, it begins to look strange, or its like do.
            self._step_from(self.rung, -1)
        elif closeness is Closeness.UNDECIDABLE:
            self.blind = True
        elif closeness is Closeness.FAMILIAR:
            self.blind = False
            self.too_gentle = max(self.too_gentle, self.rung)
            if self.enough <= self.too_gentle:
                # It had passed while others were dampened otherwise.
                self.enough, self.step = math.inf, 1.0
        else:
            if self.rung <= self.enough:
                self.enough = self.rung
                self.too_much = damaged or closeness is Closeness.CONSPICUOUS
            if self.too_gentle >= self.enough:
                self.too_gentle = -math.inf

    def move(self, *, damaged: bool, passes: bool = False) -> None:
        """Go where the next trial tells most, or stay.

        Where it is enough it stays until all others have got there, so that it is not driven to
        the edge meanwhile.
        """
        upper = min(self.enough, self.ceiling)
        if self.blind or (damaged and self.rung < upper):
            return
        if not (damaged or passes or self.too_much) and self.rung == self.enough:
            return
        resolution = RESOLUTION if self.enough == upper and not self.too_much else FINEST
        if upper - self.too_gentle <= resolution:
            # A ceiling is where it damaged: what is near enough lies below.
            self.rung = self.enough if self.enough <= upper else self.too_gentle
        elif math.isfinite(upper) and math.isfinite(self.too_gentle):
            self.rung = max(self.floor, (upper + self.too_gentle) / 2)
        elif math.isfinite(upper):
            self._step_from(upper, -1)
        else:
            self._step_from(self.too_gentle, 1)

    def retreat(self) -> None:
        """The present rung damages too much, and nobody else can give way."""
        self.ceiling = min(self.ceiling, self.rung)
        if self.blind:
            self._step_from(self.rung, -1)
            return
        self.enough = math.inf
        self.too_gentle = self.harmless if self.harmless < self.ceiling else -math.inf
        self.move(damaged=True)

    def _step_from(self, start: float, direction: int) -> None:
        self.rung = min(STRONGEST, max(self.floor, start + direction * self.step))
        self.step *= 2


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
    ladders = {
        cohort: _Ladder(
            seed, at_base[cohort] is Closeness.ALIKE, _floor(cohort, seed, floors or {})
        )
        for cohort, seed in seeds.items()
    }
    trials: list[Trial] = []
    tried: set[tuple[float, ...]] = set()
    while not limits.reached(len(trials)):
        rungs = tuple(ladder.rung for ladder in ladders.values())
        if rungs in tried:
            break
        tried.add(rungs)
        trial = attempt({c: setting_at(each.seed, each.rung) for c, each in ladders.items()})
        trials.append(trial)
        if trial.judgement.is_ideal:
            break
        _learn(list(ladders.items()), trial.judgement)
    return trials


def _floor(cohort: Cohort, seed: float, floors: Mapping[Cohort, Setting]) -> float:
    if cohort not in floors:
        return GENTLEST
    # Not gentler by a rounding, either. What the floor says of λ, whoever attempts sees to.
    return max(GENTLEST, rung_of(floors[cohort], seed) + ROUNDING)


def _learn(ladders: list[tuple[Cohort, _Ladder]], judgement: Judgement) -> None:
    damaged = bool(judgement.damage)
    before = [ladder.rung for _, ladder in ladders]
    needless = all(ladder.blind for _, ladder in ladders)
    for cohort, ladder in ladders:
        ladder.note(_aimed_at(cohort, judgement), damaged=damaged, needless=needless)
        ladder.move(damaged=damaged, passes=judgement.passes)
    if damaged and before == [ladder.rung for _, ladder in ladders]:
        # What was dampened as a precaution only gives way before what has something to forget.
        precautions = [ladder for _, ladder in ladders if ladder.blind and ladder.can_retreat]
        for ladder in precautions or [ladder for _, ladder in ladders]:
            ladder.retreat()


def _aimed_at(cohort: Cohort, judgement: Judgement) -> Closeness:
    """How it stands to what the search aims at: that nothing is left, where that can be told."""
    if judgement.standings[cohort].leaves_some:
        return Closeness.FAMILIAR
    return judgement.closeness_of(cohort)


def best_passing(trials: Sequence[Trial]) -> Trial | None:
    """The best of the cheapest candidates; None if none passes.

    It is one that reaches the target if any does, of those the one that leaves least below the
    last layer, and of equals the one that changes the weights least.
    """
    return min(cheapest(trials), key=_preference, default=None)


def cheapest(trials: Sequence[Trial]) -> list[Trial]:
    """The candidates that pass and cost next to nothing; if none does, those that cost least."""
    return _costing_least([trial for trial in trials if trial.judgement.passes])


def _costing_least(trials: Sequence[Trial]) -> list[Trial]:
    least = min((trial.judgement.cost for trial in trials), default=0.0)
    return [t for t in trials if t.judgement.cost <= max(least, NEGLIGIBLE) + ROUNDING]


def _preference(trial: Trial) -> tuple[bool, float, float]:
    judgement = trial.judgement
    return judgement.distance > 0, judgement.left_below, trial.change


def nearest(trials: Sequence[Trial]) -> Trial:
    """The candidate nearest to the target among those that damage no more than allowed.

    Of equals it is one that costs least, and of these the gentlest. If all of them damage, it is
    the gentlest.
    """
    near = nearest_harmless(trials)
    return min(_costing_least(near) if near else trials, key=lambda trial: trial.change)


def nearest_harmless(trials: Sequence[Trial]) -> list[Trial]:
    """Those that damage no more than allowed and come as near to the target as any of them."""
    harmless = [trial for trial in trials if not trial.judgement.damage]
    least = min((trial.judgement.distance for trial in harmless), default=0.0)
    return [trial for trial in harmless if trial.judgement.distance <= least + ROUNDING]
