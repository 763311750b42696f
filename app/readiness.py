"""Whether the gateway can do its work: looked at once for all who ask within a second.

Anybody may ask, without a key, so asking costs nothing that others need: neither a thread of theirs
nor a question to the database each.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread

from models.readiness import States

FRESH_S = 1.0


@dataclass
class Watch:
    """What was found last, and when; lives on the event loop."""

    look: Callable[[], States]
    _found: States = field(default_factory=dict)
    _found_at: float | None = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _thread: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))

    async def states(self) -> States:
        """The states of a moment ago; who comes while somebody looks hears what that one finds."""
        async with self._looking:
            if self._found_at is None or time.monotonic() - self._found_at > FRESH_S:
                self._found = await to_thread.run_sync(self.look, limiter=self._thread)
                self._found_at = time.monotonic()
            return self._found
