"""How much can one gateway process take, and what does it do with more?

PostgreSQL, Redis, the gateway and the load generator share this machine. No worker runs.

- steady: 10 sample IDs a request, at random times, `--rate` a second.
- overload: five times that.
- bulk: one body of a million sample IDs, as NDJSON.
- downloads: a hundred downloads at 1 kB/s beside normal traffic, and the same traffic without.

`python -m benchmarks.load [--phases steady …]`
"""

import argparse
import json
import random
import sys
from collections.abc import Callable
from typing import Any

import uvloop
from rich.console import Console

from benchmarks.traffic import slow, upload
from benchmarks.traffic.client import got, posted
from benchmarks.traffic.openloop import load
from benchmarks.traffic.target import MODEL, Target, running_target

SAMPLES = 200_000
# Requests name samples of this part, so that no policy forbids them all.
PART = 40_000
IDS = 10
FILE_BYTES = 32 << 20
PATH = "/v1/deletion-requests"
JSON_BODY = "Content-Type: application/json"
OVERLOAD = 5
console = Console()


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--duration", type=float, default=300)
    parser.add_argument("--overload-duration", type=float, default=60)
    parser.add_argument("--bulk-ids", type=int, default=1_000_000)
    parser.add_argument("--phases", nargs="+", choices=list(PHASES), default=list(PHASES))
    parser.add_argument("--no-write", action="store_true", help="Print only.")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with running_target(SAMPLES, FILE_BYTES) as target:
        uvloop.run(load(target, 50, 2, _requests(target)))
        for name in options.phases:
            target.clear()
            found[name] = PHASES[name](target, options)
            console.print_json(data={name: found[name]})
    if not options.no_write:
        from benchmarks.tools import results

        console.print(f"Written to {results.write('load', found)}.")
    return 0


def steady(target: Target, options: argparse.Namespace) -> dict[str, Any]:
    """The rate that is promised."""
    return uvloop.run(load(target, options.rate, options.duration, _requests(target)))


def overload(target: Target, options: argparse.Namespace) -> dict[str, Any]:
    """More than can be carried out."""
    rate = OVERLOAD * options.rate
    return uvloop.run(load(target, rate, options.overload_duration, _requests(target)))


def bulk(target: Target, options: argparse.Namespace) -> dict[str, Any]:
    """A million sample IDs in one body, as text and compressed."""
    found = {}
    for name, compressed in (("plain", False), ("gzip", True)):
        target.clear()
        found[name] = uvloop.run(upload.measure(target, options.bulk_ids, compressed=compressed))
    return found


def downloads(target: Target, options: argparse.Namespace) -> dict[str, Any]:
    """Normal traffic, alone and beside slow downloads."""
    rate, duration = options.rate / 3, min(options.duration, 60)

    async def measure() -> dict[str, Any]:
        alone = await load(target, rate, duration, _mixed(target))
        async with slow.downloads(target) as running:
            beside = await load(target, rate, duration, _mixed(target))
            under_way = running()
        return {"alone": alone, "beside": beside, "downloads_under_way": under_way}

    return uvloop.run(measure())


def _requests(target: Target) -> Callable[[], bytes]:
    """Deletion requests for random samples."""
    chosen = random.Random(1)

    def make() -> bytes:
        sample_ids = [f"sample-{chosen.randrange(PART)}" for _ in range(IDS)]
        body = json.dumps({"model": MODEL, "sample_ids": sample_ids}).encode()
        return posted(PATH, target.key, body, JSON_BODY, f"Idempotency-Key: {chosen.random()}")

    return make


def _mixed(target: Target) -> Callable[[], bytes]:
    """Deletion requests and, as often, looking at something."""
    chosen, request = random.Random(2), _requests(target)
    looks = [f"/v1/models/{MODEL}", f"/v1/models/{MODEL}/samples/sample-7", "/v1/runs"]

    def make() -> bytes:
        return request() if chosen.random() < 0.5 else got(chosen.choice(looks), target.key)

    return make


PHASES: dict[str, Callable[[Target, argparse.Namespace], dict[str, Any]]] = {
    "steady": steady,
    "overload": overload,
    "bulk": bulk,
    "downloads": downloads,
}

if __name__ == "__main__":
    sys.exit(main())
