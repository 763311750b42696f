"""Files that may be served: those whose bytes were found to be what was stored.

A file is hashed before it is served for the first time, and again if it was touched since; what was
found is remembered with everything by which the file system tells a change. Hashing happens in
threads of its own, a few files at a time, and once for all that ask meanwhile.
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from models.artifacts import Artifact, ArtifactStore
from models.artifacts.store import require_digest

HASHED_AT_ONCE = 2


@dataclass(frozen=True)
class Trace:
    """A file as it is at one moment: if this is the same later, so are the bytes."""

    path: Path
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, path: Path, found: os.stat_result) -> "Trace":
        """From what the file system says."""
        return cls(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass
class VerifiedFiles:
    """The artifacts of a store as files to be served; lives on the event loop."""

    store: ArtifactStore
    _known: dict[str, Trace] = field(default_factory=dict)
    _asking: dict[str, asyncio.Lock] = field(default_factory=dict)
    _hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(HASHED_AT_ONCE))

    async def path(self, artifact: Artifact) -> tuple[Path, os.stat_result]:
        """The file, whose bytes are right. Raises `ArtifactMissing` or `ArtifactDamaged`."""
        path, found = await to_thread.run_sync(self._look, artifact)
        if self._known.get(artifact.sha256) != Trace.of(path, found):
            async with self._asking.setdefault(artifact.sha256, asyncio.Lock()):
                if self._known.get(artifact.sha256) != Trace.of(path, found):
                    found = await to_thread.run_sync(
                        self._verify, artifact, path, limiter=self._hashing
                    )
                    self._known[artifact.sha256] = Trace.of(path, found)
        return path, found

    def _look(self, artifact: Artifact) -> tuple[Path, os.stat_result]:
        path = self.store.sized_path(artifact)
        return path, path.stat()

    def _verify(self, artifact: Artifact, path: Path) -> os.stat_result:
        with path.open("rb", buffering=0) as file:
            # From before the bytes are read: whatever changes meanwhile changes the trace.
            found = os.fstat(file.fileno())
            require_digest(artifact, hashlib.file_digest(file, "sha256").hexdigest())
        return found
