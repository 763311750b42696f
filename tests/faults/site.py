"""A whole Expunge of real processes, any of which may be killed at any moment and is started again.

Unlike `expunge up` it is made to be hurt: servers, gateway, workers and stewards are slots, and a
slot whose process has died gets a new one within a tenth of a second.
"""

import os
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from embedded.postgres import EmbeddedPostgres
from embedded.redis import EmbeddedRedis
from models.settings import Settings
from tests.faults.programs import start

LOOK_EVERY_S = 0.1


@dataclass
class Slot:
    """One program that is to run, and its process at the moment."""

    name: str
    program: str
    process: BaseProcess | None = None

    @property
    def pid(self) -> int | None:
        """Of its process, if that is alive."""
        alive = self.process is not None and self.process.is_alive()
        return self.process.pid if alive else None


class Site:
    """Processes on the servers of `settings`; `reached` are the failpoints they came to."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        postgres: EmbeddedPostgres | None = None,
        redis: EmbeddedRedis | None = None,
        programs: tuple[str, ...] = ("gateway", "worker", "worker", "steward"),
    ) -> None:
        """Servers that are given may be killed too, and are revived here."""
        self.settings = settings
        self.folder = folder
        self.failpoints = folder / "failpoints"
        self.failpoints.mkdir()
        self.kills: Counter[str] = Counter()
        self._servers = [server for server in (postgres, redis) if server is not None]
        self._postgres = postgres
        self._redis = redis
        counted = Counter[str]()
        self.slots: list[Slot] = []
        for program in programs:
            counted[program] += 1
            self.slots.append(Slot(f"{program}-{counted[program]}", program))
        self._stop = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="site")

    @contextmanager
    def running(self) -> Iterator["Site"]:
        """Everything runs inside the block, and nothing afterwards."""
        self._tending.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._tending.join()

    def kill(self, name: str, with_signal: signal.Signals = signal.SIGKILL) -> bool:
        """Kill what is in a slot, or a server; False if there is nothing to kill right now."""
        pid = self._pid(name)
        if pid is None:
            return False
        try:
            os.kill(pid, with_signal)
        except ProcessLookupError:
            return False
        self.kills[name.split("-", maxsplit=1)[0]] += 1
        return True

    def kill_any(self, chance: random.Random) -> bool:
        """Kill something: a process of a slot, the process of a run, a server."""
        names = [slot.name for slot in self.slots]
        # A worker takes seconds to come back; without this, few runs would be under way.
        names += ["run"] * 4
        if self._redis is not None:
            names.append("redis")
        if self._postgres is not None:
            names.append("postgres")
        name = chance.choice(names)
        if name == "run":
            return self._kill_run(chance)
        # PostgreSQL's immediate stop: no checkpoint, no farewell; it recovers from its log.
        return self.kill(name, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)

    def pids(self, program: str) -> list[int]:
        """The processes of a program's slots."""
        return [slot.pid for slot in self.slots if slot.program == program and slot.pid is not None]

    @property
    def reached(self) -> Counter[str]:
        """How often each failpoint was come to, by whichever process."""
        file = self.failpoints / "reached"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def arm(self, step: str, action: str) -> None:
        """Have `action` done once, by whoever comes to `step` next."""
        waiting = self.failpoints / "arming"
        waiting.write_text(action)
        waiting.rename(self.failpoints / step)

    def is_armed(self, step: str) -> bool:
        """Whether nobody has come to the step since."""
        return (self.failpoints / step).exists()

    def logs(self) -> str:
        """The end of what each process has logged, for a test that has failed."""
        return "\n".join(
            f"== {path.name}\n{path.read_text()[-3000:]}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def _kill_run(self, chance: random.Random) -> bool:
        horses = [
            child
            for pid in self.pids("worker")
            if psutil.pid_exists(pid)
            for child in psutil.Process(pid).children()
        ]
        if not horses:
            return False
        try:
            chance.choice(horses).kill()
        except psutil.NoSuchProcess:
            return False
        self.kills["run"] += 1
        return True

    def _pid(self, name: str) -> int | None:
        if name == "postgres":
            return self._postgres_pid()
        if name == "redis":
            process = self._redis.process if self._redis is not None else None
            return None if process is None else process.pid
        return next((slot.pid for slot in self.slots if slot.name == name), None)

    def _postgres_pid(self) -> int | None:
        for file in self.folder.rglob("postmaster.pid"):
            return int(file.read_text().split()[0])
        return None

    def _tend(self) -> None:
        """One thread starts everything: on Linux a server dies with the thread that revived it."""
        try:
            while not self._stop.wait(LOOK_EVERY_S):
                for server in self._servers:
                    _revive(server)
                for slot in self.slots:
                    if slot.pid is None:
                        slot.process = self._start(slot)
        finally:
            for slot in self.slots:
                if slot.process is not None:
                    slot.process.kill()
                    slot.process.join()

    def _start(self, slot: Slot) -> BaseProcess:
        environment = {
            **self.settings.environment(),
            "EXPUNGE_FAILPOINTS": str(self.failpoints),
        }
        return start(slot.program, environment, self.folder / f"{slot.name}.log")


def _revive(server: EmbeddedPostgres | EmbeddedRedis) -> None:
    """Start a server again if it has died; if that fails, the next look tries again."""
    try:
        server.revive()
    except (OSError, RuntimeError, subprocess.SubprocessError):
        return
