"""Bodies as they come in: how much, how fast, and what becomes of the rest of a refused one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope

from app.routes.posting import PATH
from app.schemas.media_types import NDJSON
from models.errors import BodyTimeout, BodyTooLarge, ExpungeError
from models.settings import Settings

# A body over this size takes one of the few places for large ones.
LARGE = 1 << 20
# Nothing but sample IDs comes in lists of any length.
OTHERS = 1 << 16
# An NDJSON body takes one before any of it has come.
NOTHING = -1
# The rest of a body that was answered early is taken for so long, and with no longer a pause.
LINGER_S = 10.0
LINGER_PAUSE_S = 2.0


@dataclass(frozen=True)
class BodyLimits:
    """What is taken of a body depends on what it is."""

    settings: Settings

    def body(self, scope: Scope, receive: Receive, enlarge: Callable[[], object]) -> "Body":
        """The body of a request; `enlarge` is called before more than a little is taken."""
        # Of a header that comes twice the first counts, as it does for the routes.
        headers = dict(reversed(scope["headers"]))
        length = headers.get(b"content-length", b"")
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        bulk = kind == NDJSON.encode() and scope["path"] == PATH
        timeout = self.settings.bulk_timeout_s if bulk else self.settings.body_timeout_s
        limit = self.settings.max_bulk_bytes if bulk else self.settings.max_body_bytes
        return Body(
            receive,
            enlarge,
            limit=limit if scope["path"] == PATH else min(limit, OTHERS),
            of_samples=scope["path"] == PATH,
            declared=int(length) if length.isdigit() else None,
            chunked=b"transfer-encoding" in headers,
            small=NOTHING if bulk else LARGE,
            pause_s=self.settings.body_timeout_s,
            until=asyncio.get_running_loop().time() + timeout,
        )


class Body:
    """A request's body as it comes in, within limits."""

    def __init__(
        self,
        receive: Receive,
        enlarge: Callable[[], object],
        *,
        limit: int,
        of_samples: bool,
        declared: int | None,
        chunked: bool,
        small: int,
        pause_s: float,
        until: float,
    ) -> None:
        self._receive = receive
        self._enlarge: Callable[[], object] | None = enlarge
        self._limit = limit
        self._of_samples = of_samples
        self._declared = declared
        self._small = small
        self._pause_s = pause_s
        self._until = until
        self._received = 0
        self._ended = not declared and not chunked
        # Why no more of it is taken.
        self.refusal: ExpungeError | None = None

    @property
    def unread(self) -> bool:
        """Whether there may be more of it than was asked for."""
        return not self._ended

    def check_declared(self) -> None:
        """Raise if by what its header says it cannot be taken."""
        self._require(self._declared or 0)

    async def receive(self) -> Message:
        """The next part; raises, and remembers, why it is not taken."""
        if self._ended:
            # What is waited for now is the client's going away.
            return await self._receive()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(self._until, loop.time() + self._pause_s)):
                message = await self._receive()
            self._received += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            self._require(self._received)
        except TimeoutError:
            # The rest is not waited for: the connection is closed.
            self._ended = True
            self.refusal = BodyTimeout(
                "The body did not come, or too slowly. Nothing was changed. Send it again, in "
                "several requests if it is large."
            )
            raise self.refusal from None
        except ExpungeError as error:
            self.refusal = error
            raise
        return message

    async def discard(self) -> bool:
        """Take what is left of it; whether that was all."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LINGER_S
        try:
            while not self._ended:
                async with asyncio.timeout_at(min(until, loop.time() + LINGER_PAUSE_S)):
                    message = await self._receive()
                self._ended = not message.get("more_body", False)
        except TimeoutError:
            return False
        return True

    def _require(self, size: int) -> None:
        if size > self._limit:
            advice = " Send sample IDs in several requests." if self._of_samples else ""
            raise BodyTooLarge(f"The body is larger than the limit of {self._limit} bytes.{advice}")
        if size > self._small and self._enlarge is not None:
            enlarge, self._enlarge = self._enlarge, None
            enlarge()
