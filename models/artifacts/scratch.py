"""A store for what is not to stay: it reads from another store, and writes beside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.artifacts.store import Artifact, ArtifactStore, KeptStore, Writer
from models.errors import ArtifactMissing


class ScratchStore:
    """New artifacts lie in `scratch`; all others come from `kept`, to which nothing is added."""

    def __init__(self, kept: ArtifactStore, scratch: ArtifactStore) -> None:
        self._kept = kept
        self._scratch = scratch

    def put(self, write: Callable[[Writer], None]) -> Artifact:
        """Store what `write` writes, for a while."""
        return self._scratch.put(write)

    def read(self, artifact: Artifact) -> bytearray:
        """From where it lies."""
        try:
            return self._scratch.read(artifact)
        except ArtifactMissing:
            return self._kept.read(artifact)

    def sized_path(self, artifact: Artifact) -> Path:
        """Where it lies."""
        try:
            return self._scratch.sized_path(artifact)
        except ArtifactMissing:
            return self._kept.sized_path(artifact)

    def check(self) -> None:
        """Raise `OSError` if what is not to stay cannot be written."""
        self._scratch.check()


@contextmanager
def beside(kept: KeptStore) -> Iterator[ScratchStore]:
    """A scratch store on `kept`; what was written is gone at the end."""
    with kept.scratch() as scratch:
        yield ScratchStore(kept, scratch)
