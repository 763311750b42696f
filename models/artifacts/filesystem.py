"""Artifacts in a local folder: `sha256/ab/abcdef…`, written by temp file, fsync, rename, fsync.

Whoever removes an artifact holds the store's lock alone while it looks at the file's age for the
last time; whoever renames a new one into place holds it together with others. So what has just been
put, be it once more, is never taken for old.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.artifacts.hashing import HashedWriter, hashing, read_hashed
from models.artifacts.store import Artifact, Writer, require_digest
from models.durable import PRIVATE, sync_folder
from models.errors import ArtifactDamaged, ArtifactMissing
from models.failpoints import Failpoint, failpoint

# Bytes by which it is seen whether there is room.
CHECKED = 8192


class FilesystemStore:
    """A store below `root`; any number of processes may use the same folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True, mode=PRIVATE)

    @classmethod
    def from_url(cls, url: str) -> "FilesystemStore":
        """`file:///absolute/folder`."""
        return cls(folder_of(url))

    def put(self, write: Callable[[Writer], None]) -> Artifact:
        """Store what `write` writes. A failed write leaves nothing behind but a clean folder."""
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        temporary = Path(name)
        try:
            with open(descriptor, "wb", buffering=0) as file, hashing() as digest:
                writer = HashedWriter(file, digest)
                write(writer)
                failpoint(Failpoint.WRITE)
                os.fsync(descriptor)
                artifact = Artifact(sha256=digest.hexdigest(), size=writer.size)
            failpoint(Failpoint.WRITE_BEFORE_RENAME)
            final = self._path(artifact.sha256)
            final.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            with self._locked(fcntl.LOCK_SH):
                temporary.replace(final)
        finally:
            # On a disk that fails, what is to be said is why writing did.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        for folder in (final.parent, final.parent.parent, self._root):
            sync_folder(folder)
        failpoint(Failpoint.WRITE_AFTER_RENAME)
        return artifact

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
        """Write a small file to disk, and remove it: a full disk still takes empty ones."""
        with tempfile.NamedTemporaryFile(dir=self._temporary) as file:
            file.write(bytes(CHECKED))
            file.flush()
            os.fsync(file.fileno())

    def old(self, shelf: str, *, age_s: float) -> list[str]:
        """The digests on one of the `SHELVES` of what was put longer than `age_s` ago."""
        before = self._now() - age_s
        digests = []
        with suppress(FileNotFoundError), os.scandir(self._root / "sha256" / shelf) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.stat().st_mtime < before:
                        digests.append(entry.name)
        return sorted(digests)

    def refresh(self, sha256: str) -> None:
        """Let an artifact, if it is there, count as put just now."""
        with suppress(FileNotFoundError):
            os.utime(self._path(sha256), (time.time(), self._now()))

    def remove(self, sha256: str, *, age_s: float) -> bool:
        """Remove an artifact, unless it is gone or was put less than `age_s` ago by now."""
        path = self._path(sha256)
        before = self._now() - age_s
        with self._locked(fcntl.LOCK_EX), suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                return True
        return False

    @contextmanager
    def scratch(self) -> Iterator["FilesystemStore"]:
        """A store on the same disk for what is not to stay: at the end of the block it is gone.

        If the process is killed inside, `remove_unfinished` does that.
        """
        with tempfile.TemporaryDirectory(dir=self._temporary) as name, _locked_folder(Path(name)):
            yield FilesystemStore(Path(name))

    def remove_unfinished(self, *, age_s: float) -> int:
        """Remove what was begun and not written to for `age_s`; return how many there were."""
        before = self._now() - age_s
        removed = 0
        for path in self._temporary.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    removed += _remove_abandoned(path) if path.is_dir() else _remove_file(path)
        return removed

    def _now(self) -> float:
        """The time in which the store's file system tells ages, which may be another machine's."""
        with tempfile.NamedTemporaryFile(dir=self._temporary) as file:
            return os.fstat(file.fileno()).st_mtime

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _path(self, sha256: str) -> Path:
        return self._root / "sha256" / sha256[:2] / sha256


def _remove_file(path: Path) -> bool:
    path.unlink()
    return True


def _remove_abandoned(scratch: Path) -> bool:
    """Remove a scratch store, unless the process that made it is at work."""
    try:
        with _locked_folder(scratch):
            shutil.rmtree(scratch)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder until the end of the block, or of the process; nobody waits for it.

    Raises `BlockingIOError` if somebody else does. The lock is on a file in it: a folder's own is
    not seen by other hosts.
    """
    descriptor = os.open(folder / "held", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def folder_of(url: str) -> Path:
    """The folder that `file:///absolute/folder` names."""
    return Path(unquote(urlsplit(url).path))


def _missing(sha256: str) -> ArtifactMissing:
    return ArtifactMissing(
        f"Artifact {sha256} is not in the store. Check ARTIFACT_STORE_URL, or restore a backup."
    )
