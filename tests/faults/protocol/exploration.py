"""Breadth-first search over all interleavings, shortest counterexamples first."""

from collections import Counter
from dataclasses import dataclass, field

from tests.faults.protocol.invariants import broken_by, broken_in, is_settled
from tests.faults.protocol.model import steps
from tests.faults.protocol.state import FAULTS, Kind, Rules, State, Step, first_state

MOST_STATES = 1_000_000


@dataclass
class Exploration:
    """What was found: states in the order of their discovery, and how each was come by."""

    rules: Rules
    states: list[State] = field(default_factory=list)
    kinds: Counter[Kind] = field(default_factory=Counter)
    # The first violation of each invariant: the state before it, and the step.
    violations: dict[str, tuple[int, Step]] = field(default_factory=dict)
    # For each state, those from which it is reached without anything going wrong.
    before: list[list[int]] = field(default_factory=list)
    _came_by: list[tuple[int, Step] | None] = field(default_factory=list)
    _places: dict[State, int] = field(default_factory=dict)

    @property
    def transitions(self) -> int:
        """How many steps were looked at."""
        return self.kinds.total()

    def trapped(self) -> list[int]:
        """States from which no path without faults leads to all items being settled."""
        expected = len(self.rules.samples)
        seen = [is_settled(state, expected) for state in self.states]
        waiting = [place for place, settled in enumerate(seen) if settled]
        while waiting:
            for place in self.before[waiting.pop()]:
                if not seen[place]:
                    seen[place] = True
                    waiting.append(place)
        return [place for place, reaches in enumerate(seen) if not reaches]

    def trace(self, place: int, last: Step | None = None) -> list[Step]:
        """The shortest way to a state, and a step from there."""
        found = [last] if last else []
        while (came_by := self._came_by[place]) is not None:
            place, step = came_by
            found.append(step)
        return found[::-1]

    def run(self, until: frozenset[str] | None = None) -> "Exploration":
        """Look at everything, or until all of some invariants were found broken.

        Nothing follows a state in which an invariant is broken.
        """
        self._add(first_state(self.rules), None)
        place = 0
        while place < len(self.states) and not (until and until <= self.violations.keys()):
            assert place < MOST_STATES, "The rules have no end."
            self._follow(place)
            place += 1
        return self

    def _follow(self, place: int) -> None:
        state = self.states[place]
        for step in steps(state, self.rules):
            self.kinds[step.kind] += 1
            found = self._places.get(step.after)
            for name in broken_by(state, step):
                self.violations.setdefault(name, (place, step))
            if found is None:
                names = broken_in(step.after)
                for name in names:
                    self.violations.setdefault(name, (place, step))
                if names:
                    continue
                found = self._add(step.after, (place, step))
            if step.kind not in FAULTS:
                self.before[found].append(place)

    def _add(self, state: State, came_by: tuple[int, Step] | None) -> int:
        place = len(self.states)
        self._places[state] = place
        self.states.append(state)
        self.before.append([])
        self._came_by.append(came_by)
        return place
