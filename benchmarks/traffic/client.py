"""An HTTP client that costs next to nothing, for sending at times of its own choosing.

It speaks what a gateway answers and no more: HTTP/1.1, answers with a Content-Length. Connections
are kept and used again; if none is free, another one is opened.
"""

import asyncio
import time
from typing import cast

# The gateway closes a connection that nobody has used for 5 s, perhaps just when we would.
FRESH_S = 3.0
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """One connection with at most one exchange under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._used = time.monotonic()
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @property
    def usable(self) -> bool:
        """Whether another exchange can begin."""
        fresh = time.monotonic() - self._used < FRESH_S
        return fresh and self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, perhaps in the middle of an exchange."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed without an answer"))

    def exchange(self, request: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """Send `request`; status and whole answer, as they will come."""
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._received = b""
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """A part of the answer."""
        self._received += data
        end = self._received.find(HEAD_END)
        if end < 0 or self._answer is None or self._answer.done():
            return
        head = self._received[:end].lower()
        start = head.find(LENGTH)
        stop = head.find(b"\r\n", start)
        length = int(head[start + len(LENGTH) : stop if stop > 0 else end]) if start > 0 else 0
        if len(self._received) >= end + len(HEAD_END) + length:
            self._used = time.monotonic()
            self._answer.set_result((int(head[9:12]), self._received))


class Client:
    """Connections to one address, as many as are needed at once."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._idle: list[Connection] = []
        self.opened = 0

    async def exchange(self, request: bytes) -> int:
        """The status of the answer to a request; 0 if the connection broke."""
        try:
            connection = await self._connection()
            status, _ = await connection.exchange(request)
        except OSError:
            return 0
        if connection.usable:
            self._idle.append(connection)
        return status

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            if connection.transport is not None:
                connection.transport.close()
        self.opened += 1
        _, made = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        return made

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()
        self._idle.clear()


def posted(path: str, key: str, body: bytes, *headers: str) -> bytes:
    """A POST, written out."""
    return _written("POST", path, key, (f"Content-Length: {len(body)}", *headers)) + body


def got(path: str, key: str) -> bytes:
    """A GET, written out."""
    return _written("GET", path, key, ())


def _written(method: str, path: str, key: str, headers: tuple[str, ...]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()
