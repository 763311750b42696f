"""Cheap polling: strong ETags over representations, 304, and long polls."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio import CapacityLimiter, to_thread
from fastapi import Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from app.schemas.polling import Pollable

LOOK_EVERY_S = 0.25
# All long polls together look so often, in so many threads of their own: however many wait, others
# find a thread and a connection.
LOOKS_PER_S = 50
LOOKERS = 2


@dataclass
class Polls:
    """The long polls of this process; lives on the event loop."""

    waiting: int = 0
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(LOOKERS))

    @property
    def pause_s(self) -> float:
        """How long one waits before it looks again: longer if there are many."""
        return max(LOOK_EVERY_S, self.waiting / LOOKS_PER_S)


def quoted(opaque: str) -> str:
    """A strong entity tag."""
    return f'"{opaque}"'


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether `If-None-Match` covers `etag`, by the weak comparison that the header calls for."""
    if if_none_match is None:
        return False
    candidates = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in candidates or etag in candidates


def represent(request: Request, body: BaseModel) -> Response:
    """The body as JSON with its ETag, or 304 if the client has it."""
    content = body.model_dump_json(by_alias=True).encode()
    etag = quoted(hashlib.sha256(content).hexdigest()[:32])
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


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
            if news or time.monotonic() >= deadline or await request.is_disconnected():
                return response
            await anyio.sleep(min(polls.pause_s, max(0.0, deadline - time.monotonic())))
            body = await to_thread.run_sync(look, limiter=polls.threads)
    finally:
        polls.waiting -= 1
