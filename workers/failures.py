"""Failures as they are kept and logged: enough to act on, and no sample ID in a log."""

import logging
import traceback
from dataclasses import asdict, dataclass

from models.errors import ExpungeError
from models.records.base import Json


@dataclass(frozen=True)
class Failure:
    """What has failed: a stable word for programs, a sentence or two for people."""

    kind: str
    detail: str

    def as_json(self) -> Json:
        """As it is kept in a row, and told by one process to another."""
        return asdict(self)


def describe(error: Exception) -> Failure:
    """What goes into the row: a domain error's own words, or where an unexpected one came from."""
    if isinstance(error, ExpungeError):
        return Failure(error.kind, str(error))
    if isinstance(error, OSError) and error.strerror:
        return Failure("io-error", f"{error.strerror}. Check the worker's disks.")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(
        "internal-error",
        f"{type(error).__name__} in {frame.name} (line {frame.lineno}). "
        "The worker's log has the trace; please report it.",
    )


def log_unexpected(log: logging.Logger, error: Exception) -> None:
    """Log the trace without the message, which may quote data: a driver's quotes key values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s (message withheld)\n%s", type(error).__name__, frames)
