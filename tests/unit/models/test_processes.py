"""A child that asked to die with its parent does: real processes, really killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models.processes import is_free
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
CHILD = """
import os, sys, time
from models.processes import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())], start_new_session=True)
time.sleep(60)
"""


def gone(pid: int, within_s: float = 10) -> bool:
    """Whether a process ends in time; one that nobody has waited for yet has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("program", ["workers.enrolment.torchrun", "workers.enrolment.rank"])
def test_a_process_of_an_enrolment_ends_at_once_if_whoever_started_it_is_gone(program: str) -> None:
    # A number that is nobody's parent any more.
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    started = [sys.executable, "-m", program]
    # Of torchrun's options the first says it, of a rank's own the last.
    done = subprocess.run([*started, str(ended.pid)], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_the_child_of_a_killed_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert gone(child)


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    with subprocess.Popen(["true"]) as earlier:
        earlier.wait()
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(earlier.pid)],
        cwd=ROOT,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, b"")


def test_a_port_is_free_until_somebody_listens_there_and_afterwards_again() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)) as listening:
        assert not is_free(port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listening.accept()
            # Who closes first keeps the address for a while.
            accepted.close()
            assert client.recv(1) == b""
    assert is_free(port)


def test_a_port_is_not_free_if_somebody_listens_there_on_another_address() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listening:
        assert not is_free(listening.getsockname()[1])
