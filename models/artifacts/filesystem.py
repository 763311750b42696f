"""Artifacts in a local folder: `sha256/ab/abcdef…`, written by temp file, fsync, rename, fsync."""

import os
import tempfile
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.artifacts.hashing import HashedWriter, hashing, read_hashed
from models.artifacts.store import Artifact, Writer, require_digest
from models.errors import ArtifactDamaged, ArtifactMissing

PRIVATE = 0o700


class FilesystemStore:
    """A store below `root`; any number of processes may use the same folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True, mode=PRIVATE)

    @classmethod
    def from_url(cls, url: str) -> "FilesystemStore":
        """`file:///absolute/folder`."""
        return cls(Path(unquote(urlsplit(url).path)))

    def put(self, write: Callable[[Writer], None]) -> Artifact:
        """Store what `write` writes. A failed write leaves nothing behind but a clean folder."""
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        temporary = Path(name)
        try:
            with open(descriptor, "wb", buffering=0) as file, hashing() as digest:
                writer = HashedWriter(file, digest)
                write(writer)
                os.fsync(descriptor)
                artifact = Artifact(sha256=digest.hexdigest(), size=writer.size)
            final = self._path(artifact.sha256)
            final.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
        for folder in (final.parent, final.parent.parent, self._root):
            _sync_folder(folder)
        return artifact

    def open(self, sha256: str) -> BufferedReader:
        """The stored bytes; they are not hashed here, readers of whole files use their digest."""
        try:
            return self._path(sha256).open("rb")
        except FileNotFoundError:
            raise _missing(sha256) from None

    def read(self, artifact: Artifact) -> bytearray:
        """The bytes, hashed while they are read."""
        with open(self.sized_path(artifact), "rb", buffering=0) as file:
            content, found = read_hashed(file, artifact.size)
        require_digest(artifact, found)
        return content

    def sized_path(self, artifact: Artifact) -> Path:
        """The stored file, if its size is right."""
        path = self._path(artifact.sha256)
        if not path.is_file():
            raise _missing(artifact.sha256)
        found = path.stat().st_size
        if found != artifact.size:
            raise ArtifactDamaged(
                f"Artifact {artifact.sha256} is damaged: it has {found} bytes instead of "
                f"{artifact.size}. Restore it from a backup; it is not used until then."
            )
        return path

    def check(self) -> None:
        """Write and remove an empty file."""
        with tempfile.NamedTemporaryFile(dir=self._temporary):
            pass

    def _path(self, sha256: str) -> Path:
        return self._root / "sha256" / sha256[:2] / sha256


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(sha256: str) -> ArtifactMissing:
    return ArtifactMissing(
        f"Artifact {sha256} is not in the store. Check ARTIFACT_STORE_URL, or restore a backup."
    )
