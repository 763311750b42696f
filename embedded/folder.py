"""The data folder of an embedded installation: one owner at a time."""

import fcntl
import shutil
from pathlib import Path
from typing import TextIO

from models.errors import NotConfigured

# Not `lock`: an artifact store may lie in the same folder, and has one of that name.
LOCK = "up.lock"
# In a folder that is emptied without asking; nothing else is.
MARK = "emptied-by-demo"


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
    """Make the folder, or remove everything in it but what says that this is allowed.

    Raises `NotConfigured` if it was not made here, or if another process owns it.
    """
    if not _may_be_cleared(folder):
        raise NotConfigured(
            f"{folder} was not made by a demo, which removes everything there before it begins. "
            "Move it away, or use another --data-dir."
        )
    with take_folder(folder):
        (folder / MARK).touch()
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in (LOCK, MARK):
                path.unlink()


def _may_be_cleared(folder: Path) -> bool:
    """Whether it was made by `clear_folder`, be that cut short, or there is nothing to lose."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    found = {path.name for path in folder.iterdir()}
    return MARK in found or found <= {LOCK}
