"""What an artifact store is, whatever it is made of."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.errors import ArtifactDamaged


class Writer(Protocol):
    """What takes the bytes of a new artifact."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of `data`; it may change afterwards."""
        ...


@dataclass(frozen=True)
class Artifact:
    """One stored file: its SHA-256 in hex, and its size in bytes."""

    sha256: str
    size: int


def require_digest(artifact: Artifact, found: str) -> None:
    """Raise `ArtifactDamaged` unless `found` is the artifact's digest."""
    if found != artifact.sha256:
        raise ArtifactDamaged(
            f"Artifact {artifact.sha256} is damaged: its bytes hash to {found}. "
            "Restore it from a backup; it is not used until then."
        )


# An artifact lies on the shelf that its digest begins with.
SHELVES = tuple(f"{number:02x}" for number in range(256))


class ArtifactStore(Protocol):
    """Write once, read by digest."""

    def put(self, write: Callable[[Writer], None]) -> Artifact:
        """Store what `write` writes; atomic and durable."""
        ...

    def read(self, artifact: Artifact) -> bytearray:
        """All of the artifact's bytes, in memory of the caller's own, their digest compared.

        Raises `ArtifactMissing`, or `ArtifactDamaged` if the bytes are not those written.
        """
        ...

    def sized_path(self, artifact: Artifact) -> Path:
        """A local file of the artifact's size, for serving; its bytes are not hashed.

        Raises `ArtifactMissing` or `ArtifactDamaged`.
        """
        ...

    def check(self) -> None:
        """Raise `OSError` if the store cannot be written to."""
        ...


class KeptStore(ArtifactStore, Protocol):
    """A store whose artifacts stay, until nothing refers to them any more."""

    def old(self, shelf: str, *, age_s: float) -> list[str]:
        """The digests on one of the `SHELVES` of what was put longer than `age_s` ago."""
        ...

    def refresh(self, sha256: str) -> None:
        """Let an artifact, if it is there, count as put just now."""
        ...

    def remove(self, sha256: str, *, age_s: float) -> bool:
        """Remove an artifact; False if it is gone, or was put less than `age_s` ago by now.

        An artifact that is put again at the same moment is not removed.
        """
        ...

    def scratch(self) -> AbstractContextManager[ArtifactStore]:
        """A store on the same disk for what is not to stay: at the end of the block it is gone.

        If the process is killed inside, `remove_unfinished` does that.
        """
        ...

    def remove_unfinished(self, *, age_s: float) -> int:
        """Remove what was begun and not written to for `age_s`; return how many there were."""
        ...
