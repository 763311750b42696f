"""Acknowledged requests while everything is killed, the queue forgets, the database falls.

In its long form (`make torture`) the first storm is of 10 000 requests and 500 kills. The others
are in the long form only; the first has all their troubles.
"""

import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.conftest import Digits
from tests.faults.site import Site
from tests.faults.storm import Storm, storm
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture
def ground() -> Iterator[Path]:
    """A folder that is not pytest's own, which other tests may close to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="expunge-storm-") as name:
        yield Path(name)


def flush(site: Site) -> bool:
    """Have Redis forget everything; False if it is not there."""
    try:
        with Redis.from_url(site.settings.redis_url) as connection:
            connection.flushall()
    except RedisError:
        return False
    return True


def strike(site: Site, chance: random.Random) -> None:
    """Kill something, or have the queue forget."""
    if chance.random() < 0.1:
        flush(site)
    else:
        site.kill_any(chance)


def test_nothing_acknowledged_is_lost_and_nothing_published_twice_whatever_is_killed(
    digits: Digits, ground: Path, torture: bool
) -> None:
    requests, kills, every_s = (10_000, 500, 0.8) if torture else (50, 12, 0.5)
    chance = random.Random(0)

    def enough(raging: Storm) -> bool:
        return raging.site.kills.total() >= kills and raging.acknowledged >= requests

    with storm(ground, digits, free_port(), 25_000 if torture else 1500) as raging:
        told = raging.rage(lambda site: strike(site, chance), every_s=every_s, until=enough)
    print(f"\n{told}")
    assert told.requests >= requests
    assert told.kills.total() >= kills
    assert told.checked["versions"] > 0


@pytest.mark.torture
def test_a_queue_that_forgets_everything_every_two_seconds_loses_nothing(
    digits: Digits, ground: Path
) -> None:
    seconds = 120
    flushed: list[float] = []

    def forget(site: Site) -> None:
        if flush(site):
            flushed.append(time.monotonic())

    with storm(ground, digits, free_port(), 5000) as raging:
        begun = time.monotonic()
        told = raging.rage(forget, every_s=2.0, until=lambda _: time.monotonic() - begun > seconds)
    print(f"\n{len(flushed)} times FLUSHALL; {told}")
    assert len(flushed) >= seconds / 4
    assert told.requests > 0


@pytest.mark.torture
def test_a_database_that_is_stopped_without_a_farewell_loses_nothing(
    digits: Digits, ground: Path
) -> None:
    stops = 20

    def fall(site: Site) -> None:
        site.kill("postgres", signal.SIGQUIT)

    with storm(ground, digits, free_port(), 5000) as raging:
        told = raging.rage(
            fall, every_s=3.0, until=lambda raging: raging.site.kills["postgres"] >= stops
        )
    print(f"\n{told}")
    assert told.requests > 0
