"""Cheap polling: strong ETags over representations, 304, and long polls."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.schemas.media_types import JSON
from app.schemas.polling import Pollable
from models.errors import PreconditionFailed

LOOK_EVERY_S = 0.25
# All long polls together look so often, in so many threads of their own: however many wait, others
# find a thread and a connection.
LOOKS_PER_S = 50
LOOKERS = 2


@dataclass
class Polls:
    """The long polls of this process; lives on the event loop."""

    waiting: int = 0
    # Set when the gateway stops: whoever waits is answered with what there is.
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(LOOKERS))

    @property
    def pause_s(self) -> float:
        """How long one waits before it looks again: longer if there are many."""
        return max(LOOK_EVERY_S, self.waiting / LOOKS_PER_S)

    async def pause(self, most_s: float) -> None:
        """Wait until it is time to look again, or to stop."""
        with anyio.move_on_after(min(self.pause_s, most_s)):
            await self.stopping.wait()


def quoted(opaque: str) -> str:
    """A strong entity tag."""
    return f'"{opaque}"'


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether `If-None-Match` covers `etag`, by the weak comparison that the header calls for."""
    if if_none_match is None:
        return False
    candidates = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in candidates or etag in candidates


def require_seen(request: Request, etag: str) -> None:
    """Raise `PreconditionFailed` if `If-Match` says that the client has seen something else.

    By the strong comparison that the header calls for: a weak tag matches nothing.
    """
    if_match = request.headers.get("if-match")
    if if_match is None or {"*", etag}.intersection(tag.strip() for tag in if_match.split(",")):
        return
    raise PreconditionFailed(
        "It is not what you have read: its ETag is not in If-Match. Read it again, then ask again."
    )


def etag_of(body: BaseModel) -> str:
    """The entity tag of what `represent` answers with."""
    return quoted(hashlib.sha256(_content(body)).hexdigest()[:32])


def represent(request: Request, body: BaseModel) -> Response:
    """The body as JSON with its ETag, or 304 if the client has it."""
    etag = etag_of(body)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(_content(body), media_type=JSON, headers=headers)


def _content(body: BaseModel) -> bytes:
    return body.model_dump_json(by_alias=True).encode()


async def long_poll(request: Request, look: Callable[[], Pollable], wait: float) -> Response:
    """Answer as soon as the client learns something new, at the latest after `wait` seconds.

    `look` reads the present representation, in a thread, with a session of its own.
    """
    deadline = time.monotonic() + wait
    conditional = "if-none-match" in request.headers
    polls: Polls = request.app.state.polls
    body = await run_in_threadpool(look)
    polls.waiting += 1
    try:
        while True:
            response = represent(request, body)
            news = response.status_code == 200 if conditional else body.ended
            over = polls.stopping.is_set() or time.monotonic() >= deadline
            if news or over or await request.is_disconnected():
                return response
            await polls.pause(max(0.0, deadline - time.monotonic()))
            body = await to_thread.run_sync(look, limiter=polls.threads)
    finally:
        polls.waiting -= 1
