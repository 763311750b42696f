"""Programs of Expunge as processes of their own that start at once.

What a program imports takes a new interpreter five seconds of a processor, and a fault test starts
dozens. Here they are forked from one process that has imported it all and never computes: each has
its environment, session and log file, and dies by itself or by a signal like any other. That the
command starts them from nothing is for tests/integration/test_command.py.
"""

import os
from multiprocessing import get_context, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

from models import failpoints
from models.processes import die_with_parent

FORKING = get_context("forkserver")
# pytest, because a child imports the module that is `__main__` here.
FORKING.set_forkserver_preload(
    ["pytest", "expunge", "app.main", "workers.main", "workers.steward", "tests.faults.programs"]
)


def start(program: str, environment: dict[str, str], log: Path) -> BaseProcess:
    """`expunge PROGRAM` as a process that does not outlive this one."""
    process = FORKING.Process(target=_run, args=(program, environment, log))
    process.start()
    return process


def _run(program: str, environment: dict[str, str], log: Path) -> None:
    die_with_parent(os.getppid())
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.environ.update(environment)
    # As for any other program: not one tracker for all, which would report what was killed here.
    resource_tracker._resource_tracker._fd = None
    # It has been imported, and with it what stood in the environment then.
    failpoints.FOLDER = environment["EXPUNGE_FAILPOINTS"]

    from expunge import main

    main([program], prog_name="expunge")
