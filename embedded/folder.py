"""The data folder of an embedded installation: one owner at a time."""

import fcntl
import shutil
from pathlib import Path
from typing import TextIO

from models.errors import NotConfigured

# Not `lock`: an artifact store may lie in the same folder, and has one of that name.
LOCK = "up.lock"


def take_folder(folder: Path) -> TextIO:
    """Make the folder, and own it until the returned file is closed or the process ends.

    Raises `NotConfigured` if another process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (folder / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise NotConfigured(
            f"Another Expunge is running in {folder}. Stop it, or use another --data-dir."
        ) from None
    return lock


def clear_folder(folder: Path) -> None:
    """Remove everything in the folder, unless another process owns it."""
    if folder.exists():
        with take_folder(folder):
            shutil.rmtree(folder)
