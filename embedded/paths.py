"""Folders that servers can use: a Unix socket's path is short, and some tools do not quote.

Where a data folder's path is long or has unusual characters, a link with a plain name stands in.
"""

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from models.errors import NotConfigured

# A socket's path has at most 107 bytes on Linux, 103 on macOS; the file's own name needs some.
MAX_PATH = 80
PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


def plain_folder(folder: Path) -> Path:
    """`folder`, which exists, or a link to it with a short and plain name."""
    absolute = folder.absolute()
    if len(os.fsencode(absolute)) <= MAX_PATH and PLAIN.fullmatch(str(absolute)):
        return absolute
    link = _private_folder() / hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]
    if not link.is_symlink():
        link.symlink_to(absolute, target_is_directory=True)
    return link


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"expunge-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise NotConfigured(f"{folder} belongs to somebody else. Remove it, or set TMPDIR.")
    # Others may pass through and not look: root starts PostgreSQL as another user.
    folder.chmod(0o711)
    return folder
