"""Open-loop load: requests are sent when they are due, whether or not earlier ones are answered.

An answer's time counts from when its request was due, so a gateway that stalls cannot hide it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.traffic.client import Client
from benchmarks.traffic.target import Target

SAMPLE_EVERY_S = 0.25
# An answer that takes longer than this is none.
PATIENCE_S = 30.0


@dataclass
class Tally:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """One answer; status 0 is none."""
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)

    def milliseconds(self, *statuses: int) -> dict[str, float]:
        """Percentiles of the times of answers with these statuses."""
        found = sorted(s for status in statuses for s in self.seconds.get(status, []))
        if not found:
            return {}
        at = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
        last = len(found) - 1
        return {name: round(1000 * found[int(part * last)], 2) for name, part in at.items()}


class Memory:
    """The gateway's memory, watched from when this is made."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._first = self._peak = target.resident_bytes
        self._watching = asyncio.create_task(self._watch())

    def growth_mb(self) -> float:
        """Stop watching; by how much it has been larger than at first."""
        self._watching.cancel()
        return round((max(self._peak, self._target.resident_bytes) - self._first) / 1e6, 1)

    async def _watch(self) -> None:
        while True:
            self._peak = max(self._peak, self._target.resident_bytes)
            await asyncio.sleep(SAMPLE_EVERY_S)


async def load(
    target: Target, rate: float, duration: float, make: Callable[[], bytes], *, seed: int = 0
) -> dict[str, Any]:
    """Send what `make` makes, `rate` a second at random times, and say what came of it."""
    client = Client("127.0.0.1", target.settings.gateway_port)
    tally, times = Tally(), random.Random(seed)
    cpu = target.cpu_seconds
    memory = Memory(target)
    loop = asyncio.get_running_loop()
    sent: set[asyncio.Task[None]] = set()

    async def send(due: float, request: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                status = await client.exchange(request)
        except TimeoutError:
            status = 0
        tally.add(status, loop.time() - due)

    begun = due = loop.time()
    while due < begun + duration:
        due += times.expovariate(rate)
        if (early := due - loop.time()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(send(due, make()))
        sent.add(task)
        task.add_done_callback(sent.discard)
    while sent:
        await asyncio.wait(sent)
    took = loop.time() - begun
    client.close()
    answered = sum(tally.statuses.values())
    good = sum(n for status, n in tally.statuses.items() if 200 <= status < 300)
    used = target.cpu_seconds - cpu
    return {
        "offered_per_second": round(answered / took, 1),
        "carried_out_per_second": round(good / took, 1),
        "seconds": round(took, 1),
        "statuses": {str(status): n for status, n in sorted(tally.statuses.items())},
        "milliseconds": tally.milliseconds(*(s for s in tally.statuses if 200 <= s < 300)),
        "milliseconds_refused": tally.milliseconds(429, 503),
        "gateway_cpu_ms_per_request": round(1000 * used / answered, 3),
        "gateway_cpu_share": round(used / took, 3),
        "resident_growth_mb": memory.growth_mb(),
        "connections": client.opened,
    }
