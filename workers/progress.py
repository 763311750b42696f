"""Telling how far a long step is: done of total, with an estimate of the time left."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Rows are not written more often than this.
TELL_EVERY_S = 0.5
# The time left is estimated from the last minute. What is told of first may be an earlier worker's
# doing, which took this one no time.
RATE_OVER_S = 60


@dataclass(frozen=True)
class Progress:
    """Samples done of a step's total, and the seconds it will still take at the present rate."""

    phase: str
    done: int
    total: int
    eta_s: float | None

    def as_json(self) -> dict[str, Any]:
        """As it is kept in a row and served."""
        eta = None if self.eta_s is None else round(self.eta_s, 1)
        return {"phase": self.phase, "done": self.done, "total": self.total, "eta_s": eta}


Tell = Callable[[Progress], None]


class Tracker:
    """Counts what is done of a step and calls `tell`, at a bounded rate."""

    def __init__(self, phase: str, total: int, tell: Tell) -> None:
        self._phase = phase
        self._total = total
        self._tell = tell
        self._done = 0
        self._told = time.monotonic()
        # When how much was done.
        self._lately: deque[tuple[float, int]] = deque()
        tell(Progress(phase, 0, total, None))

    def advance(self, count: int) -> None:
        """`count` more are done."""
        # A pass that is done again counts no sample twice.
        self._done = min(self._done + count, self._total)
        now = time.monotonic()
        if now - self._told < TELL_EVERY_S and self._done < self._total:
            return
        self._told = now
        self._tell(Progress(self._phase, self._done, self._total, self._time_left(now)))

    def _time_left(self, now: float) -> float | None:
        """At the rate of late; None until it was told of twice."""
        self._lately.append((now, self._done))
        # However slow it is, there are two to compare.
        while len(self._lately) > 2 and self._lately[1][0] < now - RATE_OVER_S:
            self._lately.popleft()
        since, done_then = self._lately[0]
        left = self._total - self._done
        if not left:
            return 0
        if self._done == done_then:
            return None
        return left * (now - since) / (self._done - done_then)
