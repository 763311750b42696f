"""The workbench: where candidates are made, looked at and judged, whatever method asks for them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from models.documents import Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.dampening import Weights
from workers.unlearning.gate import Gate
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.last_layer import with_last_layer
from workers.unlearning.mixing import CohortSettings, Mixer, change_of_weights
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Parts
from workers.unlearning.probing.standing import Concession, Known
from workers.unlearning.searching.preference import best_passing, nearest
from workers.unlearning.searching.trials import Trial
from workers.unlearning.tuning import Setting, at_least


class Look(Protocol):
    """Looks at the probe, or at some of its samples by their positions, through a network."""

    def __call__(self, weights: Weights, at: Collection[int] | None = None) -> Observed:
        """What the network with these weights makes of them, in the order of their positions."""


@dataclass(frozen=True)
class Tried:
    """A candidate that was judged, what it made of the probe, and what was done to the weights."""

    trial: Trial
    seen: Observed
    # Entries and norm of what changed, by parameter.
    changes: Mapping[str, tuple[int, float]]
    # Whether it has been looked at through all of the probe.
    is_whole: bool = True


@dataclass(frozen=True)
class Kept:
    """With which setting a version has forgotten a cohort, and how well it still knew it.

    Of one that has grown since, the latter says nothing any more: None.
    """

    setting: Setting
    known: Known | None


class Workbench:
    """Makes candidates with `mixer`, looks at them with `look`, judges them by `gate`.

    A second look at labels that are forgotten whole is with the base's last layer put back, whose
    parameters `last_layer` names (`last_layer.py`); without names there is none.

    Where labels go whole, a candidate is looked at through what decides, and no further than until
    that leaves no doubt (`Probe.parts`); the one to `take` is looked at through all of the probe.

    All candidates are on the ladder afterwards, in order. `done` is called after each. Cohorts that
    are `pinned` have their setting; those with a `floor` must not be dampened less than that; those
    `excused` hold nothing up as long as they stand no worse than is said there. Those `kept` have
    been forgotten by an earlier version, and are not to be given back.
    """

    def __init__(
        self,
        gate: Gate,
        mixer: Mixer,
        look: Look,
        last_layer: Sequence[str],
        done: Callable[[], None] = lambda: None,
        *,
        pinned: CohortSettings | None = None,
        floors: CohortSettings | None = None,
        excused: Mapping[Cohort, Concession] | None = None,
        kept: Mapping[Cohort, Kept] | None = None,
    ) -> None:
        self.gate = gate
        self.mixer = mixer
        self.ladder: list[Tried] = []
        self._look = look
        self._last_layer = last_layer
        self._done = done
        self._pinned = pinned or {}
        self._excused = excused or {}
        self.floors = floors or {}
        self.kept = kept or {}
        self._known = {c: each.known for c, each in self.kept.items() if each.known}

    @property
    def cohorts(self) -> list[Cohort]:
        """The cohorts that a setting is to be found for."""
        return [cohort for cohort in self.gate.probe.forgotten if cohort not in self._pinned]

    def seed(self, cohort: Cohort) -> float:
        """A cohort's α by the adaptive rule."""
        return self.mixer.adaptive_selection(cohort)

    def attempt(self, settings: CohortSettings) -> Trial:
        """Make one candidate and judge it."""
        settings = {
            **self._pinned,
            **{cohort: self._above_floor(cohort, each) for cohort, each in settings.items()},
        }
        weights = self.mixer.mix(settings).weights
        seen, judgement = self._examine(weights)
        changes = change_of_weights(self.mixer.base, weights, self.mixer.full)
        norm = sum(change**2 for _, change in changes.values()) ** 0.5
        trial = Trial(dict(settings), judgement, norm)
        self.ladder.append(Tried(trial, seen, changes, is_whole=self._parts is None))
        self._done()
        return trial

    def take(self) -> int:
        """The rung of the best candidate that passes, or of the nearest without too much damage.

        Whichever it is, it is judged by all of the probe by then.
        """
        while True:
            trials = [tried.trial for tried in self.ladder]
            rung = trials.index(best_passing(trials) or nearest(trials))
            if self.ladder[rung].is_whole:
                return rung
            self._complete(rung)

    def _complete(self, rung: int) -> None:
        """Look at what is missing through a candidate, and judge it anew."""
        tried = self.ladder[rung]
        weights = self.mixer.mix(tried.trial.settings).weights
        missing = self.gate.probe.positions.difference(tried.seen.positions.tolist())
        seen = Observed.together([tried.seen, self._look(weights, missing)])
        trial = replace(tried.trial, judgement=self._judge(weights, seen))
        self.ladder[rung] = replace(tried, trial=trial, seen=seen, is_whole=True)

    @cached_property
    def _parts(self) -> Parts | None:
        """Those of the probe, if the first of them can tell anything."""
        tell = self.gate.decides_by_unseen and all(
            known.rule is Rule.CHANCE for known in self._known.values()
        )
        return self.gate.probe.parts if tell else None

    def _examine(self, weights: Weights) -> tuple[Observed, Judgement]:
        """Look at what decides, part after part, until that leaves no doubt."""
        if self._parts is None:
            seen = self._look(weights)
            return seen, self._judge(weights, seen)
        pieces = []
        for quarter in self._parts.quarters:
            pieces.append(self._look(weights, quarter))
            so_far = Observed.together(pieces)
            judgement = self.gate.rule_out(so_far, self._excused)
            if judgement is not None:
                return so_far, judgement
        seen = Observed.together([*pieces, self._look(weights, self._parts.rest)])
        return seen, self._judge(weights, seen)

    def _judge(self, weights: Weights, seen: Observed) -> Judgement:
        return self.gate.judge(seen, self._look_again(weights), self._excused, self._known)

    def _above_floor(self, cohort: Cohort, setting: Setting) -> Setting:
        return at_least(setting, self.floors.get(cohort, setting))

    def _look_again(self, weights: Weights) -> Observed | None:
        if not (self._last_layer and self.gate.telling):
            return None
        restored = with_last_layer(weights, self.mixer.base, self._last_layer)
        return self._look(restored, self.gate.telling)
