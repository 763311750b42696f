"""What surrounds every request: limits, an access log, a last resort for errors.

Whoever sends a body needs a key before any of it is taken: the framework reads and parses a body
before the route looks at the key, and who has none must not hold a place that others wait for.

The log holds the route's template and never the path, because paths hold sample IDs; and an
unexpected error's trace without its message, because a driver's message quotes data.
"""

import logging
import time
import traceback
from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.incoming import LARGE, Body, BodyLimits
from app.problems import problem_response
from app.security import authenticate, bearer
from app.slots import Slots
from models.errors import ExpungeError
from models.settings import Settings

log = logging.getLogger("expunge.access")

BODY_METHODS = ("POST", "PUT", "PATCH")
# Nobody is there to read it; it is only logged.
CLIENT_CLOSED_REQUEST = 499


class InternalError(ExpungeError):
    """Something nobody foresaw."""


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._limits = BodyLimits(settings)
        self._bodies = Slots.between_keys(settings.max_bodies, "requests with a body", settings)
        self._large = Slots.between_keys(
            settings.max_large_bodies,
            f"requests with NDJSON or a body of over {LARGE} bytes",
            settings,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        with ExitStack() as held:
            body = self._limits.body(
                scope, receive, lambda: self._enlarge(scope, exchange.holder, held)
            )
            exchange = Exchange(scope, body, send)
            await self._run(scope, exchange, held)
        milliseconds = 1000 * (time.monotonic() - start)
        template = getattr(scope.get("route"), "path", "-")
        log.info("%s %s %d %.1f ms", scope["method"], template, exchange.status, milliseconds)
        await exchange.finish()

    def _enlarge(self, scope: Scope, holder: str, held: ExitStack) -> None:
        # What nobody asks for a body of is not kept either.
        if scope["method"] in BODY_METHODS:
            held.enter_context(self._large.slot(holder))

    async def _run(self, scope: Scope, exchange: "Exchange", held: ExitStack) -> None:
        try:
            if scope["method"] in BODY_METHODS:
                key = bearer(Headers(scope=scope).get("authorization"))
                exchange.holder = authenticate(key, self._settings).name
                held.enter_context(self._bodies.slot(exchange.holder))
            await exchange.run(self._app)
        except ExpungeError as error:
            await exchange.answer(error)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001  (logged, and answered as a 500)
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s (message withheld)\n%s", type(error).__name__, frames)
            await exchange.answer(
                InternalError("This is a fault of the service; its log has the trace.")
            )


class Exchange:
    """One request and its answer, of which `status` is 0 until it has begun.

    `holder` is the name of the API key that sends a body.
    """

    def __init__(self, scope: Scope, body: Body, send: Send) -> None:
        self._scope = scope
        self._body = body
        self._send = send
        self._open = False
        self.holder = ""
        self.status = 0

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer; raises what is wrong with the body, if something is."""
        self._body.check_declared()
        await app(self._scope, self._body.receive, self._watched_send)
        if self._body.refusal is not None:
            raise self._body.refusal

    async def answer(self, error: ExpungeError) -> None:
        """Answer with a problem, unless an answer has begun: then the connection just ends."""
        if not self.status:
            response = problem_response(error)
            self._body.refusal = None
            await response(self._scope, self._body.receive, self._watched_send)

    async def finish(self) -> None:
        """Take the rest of a body that was answered early, and only then end the answer.

        A client that is still sending would not read an answer on a connection that is closed.
        """
        if self._open and await self._body.discard():
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watched_send(self, message: Message) -> None:
        if self._body.refusal is not None and not self.status:
            # The framework makes an answer of its own of what `receive` raises; ours follows.
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self.status >= 400 and not message.get("more_body") and self._body.unread:
            self._open = True
            message = {**message, "more_body": True}
        await self._send(message)
