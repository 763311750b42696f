"""SIGTERM in the process of a run: it may end by itself for a while, then it is given up cleanly.

A signal reaches the whole process, so what it has asked for is kept in a variable of the module.
"""

import signal
import time
from types import FrameType

from models.errors import WorkerStopping

_asked_at: float | None = None


def listen() -> None:
    """Take SIGTERM as the request to end soon."""
    signal.signal(signal.SIGTERM, _ask)


def was_asked() -> bool:
    """Whether there was a SIGTERM."""
    return _asked_at is not None


def require_time(grace_s: float) -> None:
    """Raise `WorkerStopping` once `grace_s` seconds have passed since SIGTERM."""
    if _asked_at is not None and time.monotonic() - _asked_at >= grace_s:
        raise WorkerStopping("The worker is stopping; another one takes the run up again.")


def _ask(_signal: int, _frame: FrameType | None) -> None:
    global _asked_at  # noqa: PLW0603  (see the module)
    if _asked_at is None:
        _asked_at = time.monotonic()
