"""What duties work with."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field

from models.artifacts import Artifact, KeptStore
from models.database import Database
from models.doorbell import Doorbell
from models.settings import Settings


@dataclass
class Memory:
    """What a steward remembers from round to round; only when things are done depends on it."""

    # Collecting: how many shelves have been looked through.
    shelves_done: int = 0
    # Scrubbing: what is being read, how many bytes may be read now, and since when that holds.
    artifact: Artifact | None = None
    reading: Generator[int, None, str | None] | None = None
    allowance: float = 0
    earned_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Stewardship:
    """Handed from duty to duty; nothing here is global."""

    settings: Settings
    database: Database
    store: KeptStore
    doorbell: Doorbell
    memory: Memory = field(default_factory=Memory)
