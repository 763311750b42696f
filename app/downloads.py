"""Sending a file: Starlette's response, with its refusals made problems, and so many at once.

A slow client holds a place and a few pieces of the file, and no thread.
"""

import asyncio
import logging
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.problems import problem, problem_response
from app.slots import Slots
from models.errors import TooBusy

log = logging.getLogger(__name__)

UNSATISFIABLE = 416
MALFORMED = 400


class Download(FileResponse):
    """A file with ranges; a range that cannot be served is a problem of the table."""

    def __init__(
        self,
        path: str | Path,
        # The framework looks for it here to describe the answer.
        status_code: int = 200,
        *,
        slots: Slots,
        holder: str,
        timeout_s: float,
        **named: Any,
    ) -> None:
        super().__init__(path, status_code, **named)
        self._slots = slots
        self._holder = holder
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the problem."""
        if scope["method"] == "HEAD":
            await self._send(scope, receive, send)
            return
        try:
            with self._slots.slot(self._holder):
                async with asyncio.timeout(self._timeout_s):
                    await self._send(scope, receive, send)
        except TooBusy as error:
            await problem_response(error)(scope, receive, send)
        except TimeoutError:
            # The answer is left unfinished, so the server closes the connection.
            log.info("A download took over %g s and was cut off.", self._timeout_s)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def watched_send(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in (
                MALFORMED,
                UNSATISFIABLE,
            ):
                refused = True
                await self._refuse(scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(_with_byte_ranges_only(scope), receive, watched_send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.stat_result is not None
        answer = problem(
            "range-not-satisfiable",
            "The Range header names no part of this file. Ask HEAD for its length.",
            headers={"Content-Range": f"bytes */{self.stat_result.st_size}"},
        )
        await answer(scope, receive, send)


def _with_byte_ranges_only(scope: Scope) -> Scope:
    """Without a Range header in another unit than bytes, which RFC 9110 says to ignore."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"range" or value.lower().startswith(b"bytes=")
    ]
    return {**scope, "headers": headers}
