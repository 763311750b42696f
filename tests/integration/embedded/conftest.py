"""`expunge up` as a process of its own, with its whole tree in view."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.waiting import alive, until

ROOT = Path(__file__).parents[3]
READY_S = 40.0
PROGRAMS = ("gateway", "worker", "steward")


def _data(process: psutil.Process) -> list[str]:
    """The data folder of a PostgreSQL server, as it was told; nothing of other processes."""
    words = process.info["cmdline"] or []
    return [folder for option, folder in pairwise(words) if option == "-D"]


class Up:
    """One `expunge up` in `folder`; use it as a context manager."""

    def __init__(self, folder: Path, *, user: int | None = None, **environment: str) -> None:
        self.port = free_port()
        self.folder = folder
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("EXPUNGE_") and not name.endswith(("_URL", "_RUNTIME_DIR"))
        }
        self._log = folder.parent / f"up-{self.port}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*_as_user(user), *self._command(folder), "--port", str(self.port)],
                cwd=ROOT,
                env=kept | environment,
                stdout=log,
                stderr=log,
            )

    @staticmethod
    def _command(folder: Path) -> list[str]:
        return [sys.executable, "-m", "expunge", "--data-dir", str(folder), "up"]

    def log(self) -> str:
        """Everything it and its children have said so far."""
        return self._log.read_text()

    def ready(self) -> bool:
        """Whether its gateway says that everything is."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as found:
                return bool(found.status == 200)
        except OSError:
            return False

    def banner(self) -> bool:
        """Whether it has said that it is up."""
        return "Expunge is up." in self.log() or self.process.poll() is not None

    def children(self) -> dict[str, psutil.Process]:
        """Its living children: the programs by name, and redis."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                words = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if words and alive(child):
                found["redis" if "redis-server" in words[0] else words[-1]] = child
        return found

    def postgres(self) -> list[psutil.Process]:
        """The living PostgreSQL servers whose data lie in its folder; nobody's children."""
        data = (self.folder / "postgres").resolve()
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            # Where the path is long it is served by a short one that leads there.
            if any(Path(word).resolve() == data for word in _data(process)) and alive(process)
        ]

    def tree(self) -> list[psutil.Process]:
        """Everything it started and that lives."""
        own = psutil.Process(self.process.pid)
        servers = self.postgres()
        below = [child for server in servers for child in server.children(recursive=True)]
        return [own, *own.children(recursive=True), *servers, *below]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def __enter__(self) -> "Up":
        """When it is up."""
        if not until(self.banner, READY_S) or self.process.poll() is not None:
            self.__exit__()
            pytest.fail(f"It did not become ready:\n{self.log()[-3000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, whatever the test found."""
        left = self.tree() if self.process.poll() is None else self.postgres()
        for process in left:
            if alive(process):
                process.kill()
        self.process.wait(timeout=10)


def _as_user(user: int | None) -> list[str]:
    if user is None:
        return []
    # The interpreter may lie in a home that only root may enter, so the user may read; no more.
    capabilities = "-all,+dac_read_search"
    return [
        "setpriv",
        *(f"--reuid={user}", f"--regid={user}", "--clear-groups"),
        *(f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can use."""
    made = subprocess.run(
        ["mktemp", "-d", "/tmp/expunge-anybody-XXXXXX"],
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(made.stdout.strip())
    path.chmod(0o777)
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)
