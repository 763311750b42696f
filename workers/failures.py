"""Failures as they are kept and logged: enough to act on, and no sample ID in a log."""

import logging
import traceback

from models.errors import ExpungeError
from models.records.base import Json


def describe(error: Exception) -> Json:
    """What goes into the row: a domain error's own words, or where an unexpected one came from."""
    if isinstance(error, ExpungeError):
        return {"kind": error.kind, "detail": str(error)}
    if isinstance(error, OSError) and error.strerror:
        return {"kind": "io-error", "detail": f"{error.strerror}. Check the worker's disks."}
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return {
        "kind": "internal-error",
        "detail": f"{type(error).__name__} in {frame.name} (line {frame.lineno}). "
        "The worker's log has the trace; please report it.",
    }


def log_unexpected(log: logging.Logger, error: Exception) -> None:
    """Log the trace without the message, which may quote data: a driver's quotes key values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s (message withheld)\n%s", type(error).__name__, frames)
