"""Small files that must survive a crash of the machine: whole or not at all."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o700


def write_durably(path: Path, content: bytes) -> None:
    """Write or replace a file that only its owner may read; on disk when this returns."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder_durably(folder: Path) -> None:
    """Make a folder, and those above it, that only their owner may look into."""
    if not folder.is_dir():
        make_folder_durably(folder.parent)
        folder.mkdir(exist_ok=True, mode=PRIVATE)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Have a folder's entries on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
