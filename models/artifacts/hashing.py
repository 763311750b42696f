"""Reading and writing files with their SHA-256 found in the same pass.

A thread hashes what has just been read or written while the next piece is; both let go of the
interpreter, so the digest costs next to nothing beside the file.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO

PIECE = 4 << 20


class Hashing:
    """The digest of what is handed over, piece by piece; a piece must stay as it is meanwhile."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._digest = hashlib.sha256()
        self._waiting: Future[None] | None = None

    def update(self, piece: memoryview) -> None:
        """Begin with `piece`, once the one before is done with."""
        self.finish()
        self._waiting = self._thread.submit(self._digest.update, piece)

    def finish(self) -> None:
        """Wait until everything handed over may change again."""
        if self._waiting is not None:
            self._waiting.result()
            self._waiting = None

    def hexdigest(self) -> str:
        """Of everything so far."""
        self.finish()
        return self._digest.hexdigest()


@contextmanager
def hashing() -> Iterator[Hashing]:
    """A digest, with the thread that computes it."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        yield Hashing(thread)


class HashedWriter:
    """Writes to an open file; afterwards knows size and digest of what was written."""

    def __init__(self, file: FileIO, digest: Hashing) -> None:
        self._file = file
        self._digest = digest
        self.size = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data`, which may change as soon as this returns."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), PIECE):
            piece = view[start : start + PIECE]
            self._digest.update(piece)
            written = 0
            while written < len(piece):
                written += self._file.write(piece[written:])
        self._digest.finish()
        self.size += len(view)


class HashedReader:
    """Reads an open file from its start to its end; then knows the digest of all of it."""

    def __init__(self, file: FileIO, digest: Hashing) -> None:
        self._file = file
        self._digest = digest
        self.position = 0

    def read_into(self, buffer: memoryview) -> None:
        """Fill `buffer` with what comes next; it may be looked at, but must not change before the
        next call. Raises `EOFError` if there is less.
        """
        self._digest.finish()
        view = buffer.cast("B")
        done = 0
        while done < len(view):
            count = self._file.readinto(view[done:])
            if not count:
                raise EOFError("The file ends too early.")
            done += count
        self._digest.update(view)
        self.position += done

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        buffer = bytearray(size)
        self.read_into(memoryview(buffer))
        self._digest.finish()
        return bytes(buffer)

    def hexdigest(self) -> str:
        """Of everything that has been read."""
        return self._digest.hexdigest()


def read_hashed(file: FileIO, size: int) -> tuple[bytearray, str]:
    """Up to `size` bytes from where the file stands, and their digest."""
    content = bytearray(size)
    view = memoryview(content)
    done = 0
    with hashing() as digest:
        while done < size:
            count = file.readinto(view[done : done + PIECE])
            if not count:
                break
            digest.update(view[done : done + count])
            done += count
        found = digest.hexdigest()
    view.release()
    return content, found
