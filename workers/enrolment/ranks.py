"""An enrolment's pass by several processes: starting them with torchrun, and following them.

The processes know nothing of the database: who starts those of the first machine holds the lease
and writes the progress. They say how far they are, and what went wrong, as lines of JSON on their
standard output. Those of other machines are started there by `expunge assist`.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import torch

from models.errors import NotConfigured, RankRefused, RanksFailed
from models.processes import is_free
from models.settings import Settings, port_of
from workers.enrolment.job import Job
from workers.failures import Failure
from workers.resources import choose_device

log = logging.getLogger(__name__)

PROGRAM = "workers.enrolment.torchrun"
RANK = "workers.enrolment.rank"
# How long a machine waits for the others to come; the first may be digesting images for long.
PATIENCE_S = 3600
# How long nothing is heard of the processes before this one looks whether to go on, and how long
# they may take to end.
LISTEN_S, END_S = 0.5, 5


def sum_in_ranks(job: Job, settings: Settings, advance: Callable[[int], None]) -> None:
    """Have several processes carry out the job; the sums are in its logs then.

    `settings.processes` of them are started here, and if `settings.nodes` says so, others join them
    from other machines; `advance` is told of every so many samples that are done.

    Raises:
        NotConfigured: there are not so many GPUs.
        RankRefused: what one of them found wrong, in its words.
        RanksFailed: one of them has died, or those of another machine did not come.

    """
    _require_devices(settings)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.safetensors"
        job.write(file)
        if settings.nodes > 1:
            _wait_for_port(settings, advance)
            log.info("Waiting for %s at %s.", _others(settings), settings.rendezvous)
        _run([*_torchrun(settings, node_rank=0), str(file)], settings, advance)


def assist(settings: Settings, node_rank: int) -> None:
    """Take part in the next enrolment of the machine at the rendezvous, as one of its others.

    Raises what `sum_in_ranks` raises.
    """
    _require_devices(settings)
    log.info("Waiting for an enrolment at %s.", settings.rendezvous)
    _run(_torchrun(settings, node_rank), settings, lambda _count: None)


def _require_devices(settings: Settings) -> None:
    """Each process on GPUs has one of its own. One that finds none ends before the others know."""
    if choose_device(settings.device).type != "cuda":
        return
    there = torch.cuda.device_count()
    if there < settings.processes:
        raise NotConfigured(
            f"There are {there} GPUs here for {settings.processes} processes. Set "
            "EXPUNGE_PROCESSES or --nproc to no more, or EXPUNGE_DEVICE to cpu."
        )


def _wait_for_port(settings: Settings, advance: Callable[[int], None]) -> None:
    """Until the port of the rendezvous is free: only one enrolment at a time can be there."""
    port = port_of(settings.rendezvous)
    waits = False
    while not is_free(port):
        if not waits:
            log.info("Waiting for port %d: another enrolment has it, perhaps.", port)
        waits = True
        advance(0)
        time.sleep(LISTEN_S)


def _others(settings: Settings) -> str:
    return "another machine" if settings.nodes == 2 else f"{settings.nodes - 1} other machines"


def _torchrun(settings: Settings, node_rank: int) -> list[str]:
    """Its options, up to the rank's own."""
    if settings.nodes == 1:
        meeting = ["--standalone"]
    else:
        # Only this one lets the machine that has the job be the first.
        meeting = ["--rdzv-backend", "static", "--rdzv-endpoint", settings.rendezvous]
        meeting += ["--rdzv-conf", f"timeout={PATIENCE_S}"]
        meeting += ["--nnodes", str(settings.nodes), "--node-rank", str(node_rank)]
    return [*meeting, "--nproc-per-node", str(settings.processes), "-m", RANK]


def _run(options: list[str], settings: Settings, advance: Callable[[int], None]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", PROGRAM, str(os.getpid()), *options],
        env={**os.environ, **settings.environment()},
        stdout=subprocess.PIPE,
        text=True,
        # Libraries say there what they like.
        errors="replace",
    )
    with process:
        try:
            refusal = _follow(process, advance)
            code = process.wait()
        finally:
            _end(process)
    if refusal is not None:
        raise RankRefused(refusal.kind, refusal.detail)
    if code:
        raise RanksFailed(
            f"A process of the enrolment ended with status {code}; the log has its last words."
            f"{_elsewhere(settings)} Enrol again: complete shards are not computed twice."
        )


def _elsewhere(settings: Settings) -> str:
    if settings.nodes == 1:
        return ""
    return (
        f" Or not all of the {settings.nodes} machines came to {settings.rendezvous}, or one of "
        "them has ended: look at their logs, and start `expunge assist` there again."
    )


def _end(process: "subprocess.Popen[str]") -> None:
    """If following was given up, as when the lease is lost."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        # While it waits for other machines it hears nothing.
        process.kill()


def _follow(process: "subprocess.Popen[str]", advance: Callable[[int], None]) -> Failure | None:
    refusal = None
    for line in _lines(process):
        said = _understood(line)
        # It raises if this must not go on.
        advance(said.get("done", 0))
        if "error" in said and refusal is None:
            refusal = Failure(**said["error"])
    return refusal


def _understood(line: str) -> dict[str, Any]:
    """What a process says; nothing if these are some library's own words, or none for a while."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    """What the process says, and an empty line now and then while it says nothing."""
    said: SimpleQueue[str | None] = SimpleQueue()

    def listen() -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.put(line)
        finally:
            said.put(None)

    listener = threading.Thread(target=listen, name="ranks", daemon=True)
    listener.start()
    while True:
        try:
            line = said.get(timeout=LISTEN_S)
        except Empty:
            yield ""
            continue
        if line is None:
            return
        yield line
