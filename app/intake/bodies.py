"""The bodies of requests: what kind they are, and NDJSON ones as they come."""

from collections.abc import Iterator

from anyio import from_thread
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.intake.inflation import inflated
from app.intake.ndjson import read_lines
from app.schemas.media_types import JSON
from models.errors import UnsupportedEncoding, UnsupportedMediaType
from models.settings import Settings

# What is read as UTF-8.
CHARSETS = ("utf-8", "utf8", "us-ascii")


def media_type(request: Request) -> str:
    """What the body is; everything that ends in `+json` is JSON.

    Raises `UnsupportedMediaType` if it is said to be encoded otherwise than it would be read.
    """
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    kind = kind.strip()
    charset = dict(each.strip().partition("=")[::2] for each in parameters).get("charset")
    if charset is not None and charset.strip('"') not in CHARSETS:
        raise UnsupportedMediaType(
            "Bodies are read as UTF-8. Send it so, and say no other charset."
        )
    return JSON if kind.startswith("application/") and kind.endswith("+json") else kind


def streamed(request: Request, settings: Settings) -> Iterator[list[str]]:
    """The sample IDs of an NDJSON body as they come, for a worker thread of the event loop's.

    Raises `UnsupportedEncoding`, and while iterating whatever is wrong with the body.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    parts = _parts(request)
    if encoding in ("gzip", "x-gzip"):
        parts = inflated(parts, max_bytes=settings.max_bulk_bytes, max_ratio=settings.max_expansion)
    elif encoding != "identity":
        raise UnsupportedEncoding(
            "The Content-Encoding is not one that is taken here. Send the lines as they are, or "
            "with gzip."
        )
    return read_lines(parts)


def _parts(request: Request) -> Iterator[bytes]:
    async def receive() -> Message:
        return await request.receive()

    more = True
    while more:
        message = from_thread.run(receive)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")
