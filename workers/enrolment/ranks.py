"""An enrolment's pass by several processes: starting them with torchrun, and following them.

The processes know nothing of the database: this one holds the lease and writes the progress. They
say how far they are, and what went wrong, as lines of JSON on their standard output.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import RankRefused, RanksFailed
from models.settings import Settings
from models.specifications import Enrolment
from workers.enrolment.shardlog import ShardLogs
from workers.failures import Failure

PROGRAM = "workers.enrolment.torchrun"


def sum_in_ranks(
    enrolment: Enrolment,
    apart: Sequence[int],
    logs: ShardLogs,
    settings: Settings,
    advance: Callable[[int], None],
) -> None:
    """Have `settings.processes` processes sum all portions, the labels `apart` and the others; the
    sums are in the `logs` then.

    Raises:
        RankRefused: what one of them found wrong, in its words.
        RanksFailed: one of them has died.

    """
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(
            json.dumps(
                {
                    "enrolment": enrolment.model_dump(mode="json", by_alias=True),
                    "apart": list(apart),
                    "logs": str(logs.path),
                    "shard_size": logs.shard_size,
                }
            )
        )
        process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(settings.processes), str(job)],
            env={**os.environ, **settings.environment()},
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                refusal = _follow(process, advance)
                code = process.wait()
            finally:
                # If following was given up, as when the lease is lost.
                process.terminate()
    if refusal is not None:
        raise RankRefused(refusal.kind, refusal.detail)
    if code:
        raise RanksFailed(
            f"A process of the enrolment ended with status {code}; the worker's log has its last "
            "words. Enrol again: complete shards are not computed twice."
        )


def _follow(process: "subprocess.Popen[str]", advance: Callable[[int], None]) -> Failure | None:
    refusal = None
    assert process.stdout is not None
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            # Some library's own words.
            continue
        if "done" in said:
            advance(said["done"])
        elif refusal is None:
            refusal = Failure(**said["error"])
    return refusal
