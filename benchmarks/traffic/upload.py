"""One large body, sent as fast as it is taken."""

import asyncio
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

from benchmarks.traffic.openloop import Memory
from benchmarks.traffic.target import MODEL, Target

LINES = 4096
NDJSON = "Content-Type: application/x-ndjson"


async def measure(target: Target, count: int, *, compressed: bool) -> dict[str, Any]:
    """Seconds from the first byte to the answer, and what the gateway needed for it."""
    memory, cpu, begun = Memory(target), target.cpu_seconds, time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", target.settings.gateway_port)
    head = [
        f"POST /v1/deletion-requests?model={MODEL} HTTP/1.1",
        "Host: gateway",
        f"Authorization: Bearer {target.key}",
        NDJSON,
        "Transfer-Encoding: chunked",
        *(["Content-Encoding: gzip"] if compressed else []),
    ]
    writer.write("\r\n".join([*head, "", ""]).encode())
    sent = 0
    for part in _compressed(_parts(target, count)) if compressed else _parts(target, count):
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        sent += len(part)
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    uploaded = time.monotonic() - begun
    status = int((await reader.readline()).split()[1])
    while (line := await reader.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length"):
            length = int(line.split(b":")[1])
    answer = json.loads(await reader.readexactly(length))
    seconds = time.monotonic() - begun
    writer.close()
    return {
        "sample_ids": count,
        "status": status,
        "counts": answer.get("counts", answer.get("type")),
        "body_mb": round(sent / 1e6, 1),
        "uploaded_after_seconds": round(uploaded, 2),
        "seconds": round(seconds, 2),
        "gateway_cpu_seconds": round(target.cpu_seconds - cpu, 2),
        "resident_growth_mb": memory.growth_mb(),
    }


def _parts(target: Target, count: int) -> Iterator[bytes]:
    """Known samples first, then IDs that nobody has."""
    known = target.samples // 4
    for start in range(0, count, LINES):
        numbers = range(start, min(start + LINES, count))
        lines = [f'"{"sample" if number < known else "nobody"}-{number}"\n' for number in numbers]
        yield "".join(lines).encode()


def _compressed(parts: Iterator[bytes]) -> Iterator[bytes]:
    packing = zlib.compressobj(wbits=31)
    for part in parts:
        # An empty chunk would end the body.
        if packed := packing.compress(part):
            yield packed
    yield packing.flush()
