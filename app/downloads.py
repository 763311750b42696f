"""Sending a file: Starlette's response, with its refusals made problems."""

from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from app.problems import problem

UNSATISFIABLE = 416
MALFORMED = 400


class Download(FileResponse):
    """A file with ranges; a range that cannot be served is a problem of the table."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the problem."""
        refused = False

        async def watched_send(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in (
                MALFORMED,
                UNSATISFIABLE,
            ):
                refused = True
                kept = dict(message["headers"]).get(b"content-range")
                await self._refuse(kept, scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(_with_byte_ranges_only(scope), receive, watched_send)

    async def _refuse(
        self, content_range: bytes | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = {"Content-Range": content_range.decode()} if content_range else {}
        answer = problem(
            "range-not-satisfiable",
            "The Range header names no part of this file. Ask HEAD for its length.",
            headers=headers,
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
