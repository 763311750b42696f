"""Group commit: requests that arrive while a transaction is under way share the next one.

One transaction at a time writes all that came meanwhile. The more there are, the less each costs,
and a single request waits for nobody. Large ones, and those that must be counted for, go through
threads of their own, so that the others need not wait for them.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field

import anyio
from anyio import CapacityLimiter, to_thread

from app.intake.accepting import Intake, Result
from app.intake.posted import Posted
from app.intake.writing import Acceptance
from app.schemas.deletion_requests import AcceptedRequest
from models.doorbell import Doorbell, Job

log = logging.getLogger(__name__)

# Most requests, and most sample IDs of one request, that share a transaction.
GROUP = 64
SMALL = 1000
# Threads for bodies that the event loop must not parse.
PARSING = 2
# Threads for requests that are written alone, each with a connection to the database.
ALONE = 4
# The answer waits so long for Redis; the steward rings anyway.
RING_S = 0.1

Waiting = tuple[Posted, "asyncio.Future[Acceptance]"]


@dataclass
class Grouping:
    """Takes requests over; lives on the event loop."""

    intake: Intake
    doorbell: Doorbell
    bulk_threads: int
    parsing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(PARSING))
    _waiting: list[Waiting] = field(default_factory=list)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _busy: bool = False
    _alone: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(ALONE))
    _together: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    _bulk: CapacityLimiter = field(init=False)
    _ringing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))

    def __post_init__(self) -> None:
        self._bulk = CapacityLimiter(self.bulk_threads)

    async def accept(self, posted: Posted) -> AcceptedRequest:
        """Take responsibility for a request; raises what `Intake.alone` raises."""
        if len(posted.sample_ids) > SMALL:
            return await self._accept_alone(posted)
        future: asyncio.Future[Acceptance] = asyncio.get_running_loop().create_future()
        self._waiting.append((posted, future))
        if not self._busy:
            self._busy = True
            self._start(self._write())
        return (await future).answer

    async def accept_with(self, accept: Callable[[], Acceptance]) -> AcceptedRequest:
        """Take responsibility for a request that takes its time, in a thread for such."""
        acceptance = await to_thread.run_sync(accept, limiter=self._bulk)
        await self.ring([acceptance.ring])
        return acceptance.answer

    async def ring(self, models: Iterable[uuid.UUID | None]) -> None:
        """Ring for those that have work, and wait for Redis for a moment at most."""
        chosen = {model for model in models if model is not None}
        if not chosen:
            return

        def ring_all() -> None:
            for model in chosen:
                self.doorbell.ring(Job.UNLEARN, model)

        try:
            with anyio.move_on_after(RING_S):
                await to_thread.run_sync(ring_all, abandon_on_cancel=True, limiter=self._ringing)
        except Exception as error:  # noqa: BLE001  (what is accepted must be answered)
            log.warning("Could not ring (%s); the steward will.", type(error).__name__)

    async def _accept_alone(self, posted: Posted) -> AcceptedRequest:
        acceptance = await to_thread.run_sync(self.intake.alone, posted, limiter=self._alone)
        await self.ring([acceptance.ring])
        return acceptance.answer

    async def _write(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                posted = [each for each, _ in group]
                try:
                    results = await to_thread.run_sync(self._tried, posted, limiter=self._together)
                except RuntimeError as error:
                    # There was no thread to be had. Whoever waits must be answered all the same.
                    log.warning("A group of %d was not tried (%s).", len(group), error)
                    results = [None] * len(group)
                self._start(self._answer(group, results))
        finally:
            self._busy = False

    def _tried(self, group: Sequence[Posted]) -> Sequence[Result]:
        try:
            return self.intake.together(group)
        except Exception as error:  # noqa: BLE001  (each is tried alone, and says what is wrong)
            log.warning("A group of %d failed (%s).", len(group), type(error).__name__)
            return [None] * len(group)

    async def _answer(self, group: Sequence[Waiting], results: Sequence[Result]) -> None:
        await self.ring(result.ring for result in results if isinstance(result, Acceptance))
        for (posted, future), result in zip(group, results, strict=True):
            if result is None:
                self._start(self._retry(posted, future))
            elif future.cancelled():
                continue
            elif isinstance(result, Acceptance):
                future.set_result(result)
            else:
                future.set_exception(result)

    async def _retry(self, posted: Posted, future: "asyncio.Future[Acceptance]") -> None:
        try:
            acceptance = await to_thread.run_sync(self.intake.alone, posted, limiter=self._alone)
        except Exception as error:  # noqa: BLE001  (it is whoever waits who raises it)
            if not future.cancelled():
                future.set_exception(error)
            return
        await self.ring([acceptance.ring])
        if not future.cancelled():
            future.set_result(acceptance)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        # The loop holds tasks weakly.
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
