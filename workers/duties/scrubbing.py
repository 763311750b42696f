"""Scrubbing: reading what is stored again, slowly, to find what a disk has damaged.

A round reads no more than its share of the time that has passed, and goes on in the middle of a
large file in the next: the other duties do not wait for it. What a steward that dies was reading is
next looked at when its turn comes again.
"""

import time

from models.scrubbing import claim_next, note_new, read_through, record_check
from workers.duties.stewardship import Memory, Stewardship

ACTOR = "steward"
# However long the last round took, the next reads no more than this many seconds' worth.
MOST_S = 5.0
# What the smallest artifact counts for, so that a round has an end with many of them.
LEAST_BYTES = 1 << 18


def scrub(stewardship: Stewardship) -> int:
    """Read for a while; return how many artifacts were finished with."""
    # That the whole store is away is another matter than one file that is.
    stewardship.store.check()
    memory = stewardship.memory
    _earn(memory, stewardship.settings.scrub_bytes_per_s)
    finished = 0
    while memory.allowance > 0:
        if memory.reading is None and not _begin(stewardship):
            break
        finished += _read_on(stewardship)
    return finished


def _earn(memory: Memory, bytes_per_s: int) -> None:
    now = time.monotonic()
    earned = memory.allowance + (now - memory.earned_at) * bytes_per_s
    memory.allowance = min(earned, MOST_S * bytes_per_s)
    memory.earned_at = now


def _begin(stewardship: Stewardship) -> bool:
    with stewardship.database.transaction() as session:
        note_new(session)
        artifact = claim_next(session)
    if artifact is None:
        return False
    memory = stewardship.memory
    memory.artifact = artifact
    memory.reading = read_through(artifact, stewardship.store)
    memory.allowance -= LEAST_BYTES
    return True


def _read_on(stewardship: Stewardship) -> bool:
    """Read the next piece; whether it was the last."""
    memory = stewardship.memory
    assert memory.artifact is not None
    assert memory.reading is not None
    try:
        memory.allowance -= next(memory.reading)
    except StopIteration as end:
        artifact = memory.artifact
        memory.artifact = memory.reading = None
        with stewardship.database.transaction() as session:
            record_check(session, artifact, end.value, ACTOR)
        return True
    except BaseException:
        # It has not been read: it is begun anew when its turn comes.
        memory.artifact = memory.reading = None
        raise
    return False
