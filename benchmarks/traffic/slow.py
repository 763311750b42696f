"""Downloads that take what they get at 1 kB/s, as a phone in a tunnel does."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks.traffic.client import got
from benchmarks.traffic.target import MODEL, Target

COUNT = 100
BYTES_A_SECOND = 1000
# First the gateway's own kernel takes some MB of each, as fast as they can be read.
SETTLE_S = 5
# As little as the kernel lets us take in advance.
BUFFER = 4096


@asynccontextmanager
async def downloads(target: Target) -> AsyncIterator[Callable[[], int]]:
    """A hundred of them inside the block; says how many are under way."""
    received: dict[int, int] = {}

    async def download(number: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", target.settings.gateway_port))
            request = got(f"/v1/models/{MODEL}/checkpoints/0/file", target.key)
            await loop.sock_sendall(connection, request)
            answer = await loop.sock_recv(connection, BYTES_A_SECOND)
            if not answer.startswith(b"HTTP/1.1 200"):
                return
            while piece := await loop.sock_recv(connection, BYTES_A_SECOND):
                received[number] = received.get(number, 0) + len(piece)
                await asyncio.sleep(1)
        del received[number]

    tasks = [asyncio.create_task(download(number)) for number in range(COUNT)]
    await asyncio.sleep(SETTLE_S)
    yield lambda: len(received)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
