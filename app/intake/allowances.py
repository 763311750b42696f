"""What may still be forgotten, without counting it for every request.

Counting all samples that are forgotten or waiting takes as long as there are many, so a process
keeps an upper bound for each registered model: what it once counted, and everything it has
accepted since. While a request fits under the bound it is allowed. Only one that does not fit is
counted for, and so is one in a while, because other gateways accept too. A run checks the truth
again anyway.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.intake.posted import Active
from models.errors import TooBusy
from models.policies import require_allowed
from models.records import RegisteredModel
from models.specifications import Gate, Policy

# Other gateways' acceptances are seen this late at most.
FRESH_S = 60.0
# When this part of what was left is used up, one request counts anew, at most so often: those that
# come meanwhile would otherwise all have to.
SCARCE = 0.5
SOON_S = 2.0
# The database ends transactions in which nothing is asked for a lease's time.
PATIENCE_S = 5.0


@dataclass
class Bound:
    """The upper bound of one registered model, as of one version of its policy."""

    policy_version: int
    total: int
    gate: Gate
    counted: int
    counted_at: float
    # When somebody was sent to count anew.
    asked_at: float = 0.0
    # What was reserved in all, and how much of that had ended when `counted` was begun.
    reserved: int = 0
    ended: int = 0
    ended_before: int = 0

    @property
    def used(self) -> int:
        """What was reserved since it was counted, or may have been overlooked."""
        return self.reserved - self.ended_before

    def fits(self, more: int) -> bool:
        """Whether so many more are certainly allowed."""
        return self.gate.allows(self.counted + self.used + more, self.total)

    def due(self, now: float) -> bool:
        """Whether it is time to count anew."""
        age = now - self.counted_at
        left = self.gate.max_forgotten_share * self.total - self.counted
        return age > (SOON_S if self.used > SCARCE * left else FRESH_S)


@dataclass
class Allowances:
    """The bounds of this process; safe to share between threads."""

    clock: Callable[[], float] = time.monotonic
    patience_s: float = PATIENCE_S
    _bounds: dict[uuid.UUID, Bound] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def reserving(self) -> Iterator["Reserved"]:
        """For one transaction: what is reserved in the block and not kept is given back."""
        reserved = Reserved(self)
        try:
            yield reserved
        finally:
            reserved.release()

    def reserve(self, model: Active, count: int, *, counting: bool = False) -> bool:
        """Whether so many more are allowed for certain; if so they count until `release`.

        Who is `counting` is told False whenever it is time to count.
        """
        with self._lock:
            bound = self._bounds.get(model.id)
            if bound is None or bound.policy_version != model.policy_version:
                return False
            if not bound.fits(count):
                return False
            now = self.clock()
            if bound.due(now) and (counting or now - bound.asked_at > SOON_S):
                # Of those who come now one is to count anew; the others go on meanwhile.
                bound.asked_at = now
                return False
            bound.reserved += count
            return True

    def release(self, model_id: uuid.UUID, count: int, kept: int) -> None:
        """A transaction has ended, and `kept` of the reserved samples wait because of it."""
        with self._lock:
            bound = self._bounds[model_id]
            bound.reserved -= count - kept
            bound.ended += kept

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Of those who must count, one after another: the first may have counted for the next.

        Raises `TooBusy` after a while: whoever waits has a transaction open.
        """
        if not self._counting.acquire(timeout=self.patience_s):
            raise TooBusy(
                "What may still be forgotten is being counted, and that takes a while. Nothing was "
                "changed. Try again after the time in Retry-After."
            )
        try:
            yield
        finally:
            self._counting.release()

    def ended(self, model_id: uuid.UUID) -> int:
        """What `learn` needs to know of the moment before counting."""
        with self._lock:
            bound = self._bounds.get(model_id)
            return bound.ended if bound is not None else 0

    def learn(self, model: RegisteredModel, count: int, ended_before: int) -> None:
        """`count` was found; raise `ForgetsTooMuch` or `NothingRetained` if that is too many."""
        gate, total = Policy.model_validate(model.policy).gate, model.training_samples
        with self._lock:
            before = self._bounds.get(model.id)
            self._bounds[model.id] = Bound(
                policy_version=model.policy_version,
                total=total,
                gate=gate,
                counted=count,
                counted_at=self.clock(),
                reserved=before.reserved if before else 0,
                ended=before.ended if before else 0,
                ended_before=ended_before,
            )
        require_allowed(count, total, gate)


@dataclass
class Reserved:
    """What one transaction has reserved, by request."""

    _allowances: Allowances
    _taken: dict[uuid.UUID, tuple[uuid.UUID, int]] = field(default_factory=dict)
    _kept: dict[uuid.UUID, int] = field(default_factory=dict)

    def take(
        self, request_id: uuid.UUID, model: Active, count: int, *, counting: bool = False
    ) -> bool:
        """Whether `count` more samples are allowed for certain."""
        if not self._allowances.reserve(model, count, counting=counting):
            return False
        self._taken[request_id] = model.id, count
        return True

    def keep(self, request_id: uuid.UUID, count: int) -> None:
        """The transaction has committed, and so many samples wait because of the request."""
        self._kept[request_id] = count

    def release(self) -> None:
        """Give back what is not kept."""
        for request_id, (model_id, count) in self._taken.items():
            self._allowances.release(model_id, count, min(count, self._kept.get(request_id, 0)))
