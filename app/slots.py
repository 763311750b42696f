"""Limits on what is done at once: beyond them the answer is an immediate 503, not a long wait."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import TooBusy
from models.settings import Settings


class Slots:
    """So many at once, and of one holder no more than its share; lives on the event loop."""

    def __init__(self, limit: int, share: int, what: str) -> None:
        self._limit = limit
        self._share = share
        self._what = what
        self._taken: Counter[str] = Counter()

    @classmethod
    def between_keys(cls, limit: int, what: str, settings: Settings) -> "Slots":
        """One API key leaves a quarter of them to the others, or one of few."""
        # While a key is rotated there are two entries of its name.
        clients = {key.name for key in settings.api_keys}
        share = limit - max(1, limit // 4) if len(clients) > 1 else limit
        return cls(limit, max(1, share), what)

    @contextmanager
    def slot(self, holder: str) -> Iterator[None]:
        """One of them, for the time of the block; `TooBusy` if there is none for the holder."""
        if self._taken.total() >= self._limit:
            raise TooBusy(
                f"{self._limit} {self._what} are under way, which is as many as this gateway takes "
                "at once. Nothing was changed. Try again after the time in Retry-After."
            )
        if self._taken[holder] >= self._share:
            raise TooBusy(
                f"{self._share} {self._what} with this API key are under way, which is as many as "
                "one key may have at once. Nothing was changed. Try again after the time in "
                "Retry-After."
            )
        self._taken[holder] += 1
        try:
            yield
        finally:
            self._taken[holder] -= 1
