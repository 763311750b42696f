"""What surrounds every request: a limit on the body, an access log, a last resort for errors.

The log holds the route's template and never the path, because paths hold sample IDs; and an
unexpected error's trace without its message, because a driver's message quotes data.
"""

import logging
import time
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response
from models.errors import BodyTooLarge, ExpungeError

log = logging.getLogger("expunge.access")


class InternalError(ExpungeError):
    """Something nobody foresaw."""


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        exchange = Exchange(scope, Body(receive, self._max_body_bytes), send)
        try:
            await exchange.run(self._app)
        except BodyTooLarge as error:
            await exchange.answer(error)
        except Exception as error:  # noqa: BLE001  (logged, and answered as a 500)
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s (message withheld)\n%s", type(error).__name__, frames)
            await exchange.answer(
                InternalError("This is a fault of the service; its log has the trace.")
            )
        finally:
            milliseconds = 1000 * (time.monotonic() - start)
            template = getattr(scope.get("route"), "path", "-")
            log.info("%s %s %d %.1f ms", scope["method"], template, exchange.status, milliseconds)


class Exchange:
    """One request and its answer, of which `status` is 0 until it has begun."""

    def __init__(self, scope: Scope, body: "Body", send: Send) -> None:
        self._scope = scope
        self._body = body
        self._send = send
        self.status = 0

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer; `BodyTooLarge` if it must not."""
        declared = _declared_length(self._scope)
        if declared is not None and declared > self._body.limit:
            raise self._body.error()
        await app(self._scope, self._body.receive, self._watched_send)
        if self._body.too_large:
            raise self._body.error()

    async def answer(self, error: ExpungeError) -> None:
        """Answer with a problem, unless an answer has begun: then the connection just ends."""
        if not self.status:
            response = problem_response(error)
            self.status = response.status_code
            await response(self._scope, self._body.receive, self._send)

    async def _watched_send(self, message: Message) -> None:
        if self._body.too_large and not self.status:
            # The framework makes an answer of its own of what `receive` raises; ours follows.
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class Body:
    """A request's body as it comes in, up to a limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self.limit = limit
        self._received = 0

    @property
    def too_large(self) -> bool:
        """Whether more than the limit has come."""
        return self._received > self.limit

    async def receive(self) -> Message:
        """The next part; `BodyTooLarge` once the limit is passed."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self.too_large:
            raise self.error()
        return message

    def error(self) -> BodyTooLarge:
        """What to tell the client."""
        return BodyTooLarge(
            f"The body is larger than the limit of {self.limit} bytes. "
            "Send the sample IDs in several requests."
        )


def _declared_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
