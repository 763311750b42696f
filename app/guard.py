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
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            declared = _declared_length(scope)
            if declared is not None and declared > self._max_body_bytes:
                raise self._too_large()
            await self._app(scope, self._limited(receive), watched_send)
        except BodyTooLarge as error:
            await _answer(error, status, scope, receive, watched_send)
        except Exception as error:  # noqa: BLE001  (logged, and answered as a 500)
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s (message withheld)\n%s", type(error).__name__, frames)
            internal = InternalError("This is a fault of the service; its log has the trace.")
            await _answer(internal, status, scope, receive, watched_send)
        finally:
            milliseconds = 1000 * (time.monotonic() - start)
            template = getattr(scope.get("route"), "path", "-")
            log.info("%s %s %d %.1f ms", scope["method"], template, status, milliseconds)

    def _limited(self, receive: Receive) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body is larger than the limit of {self._max_body_bytes} bytes. "
            "Send the sample IDs in several requests."
        )


async def _answer(
    error: ExpungeError, status: int, scope: Scope, receive: Receive, send: Send
) -> None:
    # Once an answer has begun it cannot become another; the connection's end tells the client.
    if not status:
        await problem_response(error)(scope, receive, send)


def _declared_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
