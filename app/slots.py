"""Limits on what is done at once: beyond them the answer is an immediate 503, not a long wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import TooBusy


class Slots:
    """So many at once; lives on the event loop."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self.taken = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One of them, for the time of the block; `TooBusy` if there is none."""
        if self.taken >= self._limit:
            raise TooBusy(
                f"{self._limit} {self._what} are under way, which is as many as this gateway takes "
                "at once. Nothing was changed. Try again after the time in Retry-After."
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
