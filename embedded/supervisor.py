"""`expunge up`: servers, gateway, worker and steward under one supervisor.

A child that dies is started again, with growing pauses while it keeps dying. Stopping is orderly:
first the children that use the servers, then the servers.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TextIO

from embedded.addresses import write_services
from embedded.folder import take_folder
from embedded.postgres import EmbeddedPostgres
from embedded.redis import EmbeddedRedis
from models.database import migrate
from models.processes import die_with_parent
from models.settings import Settings, services_file

log = logging.getLogger(__name__)

PROGRAMS = ("gateway", "worker", "steward")
LOOK_EVERY_S = 0.2
# A worker may finish the batch it is at.
GRACE_S = 15.0
LONGEST_PAUSE_S = 30.0
# A child that lived this long was not dying at once.
STEADY_S = 10.0


@dataclass
class Child:
    """One supervised program."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    not_before: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        parent = os.getpid()
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509
        )
        self.started = time.monotonic()

    def revive(self) -> None:
        """Start it again if it has ended, and its pause is over."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            lived = now - self.started
            self.pause = 0.0 if lived > STEADY_S else min(LONGEST_PAUSE_S, 2 * self.pause + 0.5)
            self.not_before = now + self.pause
            log.warning("%s ended with %s; starting it again.", self.name, self.process.returncode)
            self.process = None
        if self.process is None and now >= self.not_before:
            self.start()

    def ask_to_stop(self) -> None:
        """SIGTERM, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end; SIGKILL if that takes too long."""
        if self.process is None:
            return
        try:
            self.process.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Supervisor:
    """Everything `expunge up` runs: `start`, then `tend` until the event is set."""

    settings: Settings
    programs: tuple[str, ...] = PROGRAMS
    environment: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    postgres: EmbeddedPostgres | None = None
    redis: EmbeddedRedis | None = None
    _lock: TextIO | None = None

    def start(self) -> None:
        """Start the servers that have no address yet, migrate, and start the programs."""
        folder = self.settings.data_dir
        self._lock = take_folder(folder)
        database_url, redis_url = self.settings.database_url, self.settings.redis_url
        if not database_url:
            self.postgres = EmbeddedPostgres(folder / "postgres")
            database_url = self.postgres.create_database()
        if not redis_url:
            self.redis = EmbeddedRedis(folder / "redis")
            self.redis.start()
            redis_url = self.redis.url
        migrate(database_url)
        addresses = write_services(self.settings, database_url, redis_url)
        self.environment = {**os.environ, **addresses}
        for name in self.programs:
            child = Child(name, [sys.executable, "-m", "expunge", name], self.environment)
            child.start()
            self.children.append(child)

    def tend(self, stop: threading.Event) -> None:
        """Keep everything running until `stop` is set, then stop it.

        One thread does both: on Linux a child dies with the thread that has revived it.
        """
        try:
            while not stop.wait(LOOK_EVERY_S):
                for service in (self.postgres, self.redis, *self.children):
                    if service is not None:
                        _revive(service)
        except BaseException:
            log.critical("Nothing would be started again any more; stopping everything.")
            raise
        finally:
            self.stop()

    def runs(self, name: str) -> bool:
        """Whether a program is alive at this moment."""
        return any(
            child.name == name and child.process is not None and child.process.poll() is None
            for child in self.children
        )

    def stop(self) -> None:
        """Stop the programs together, then the servers they used."""
        for child in self.children:
            child.ask_to_stop()
        deadline = time.monotonic() + GRACE_S
        for child in self.children:
            child.wait(deadline - time.monotonic())
        if self.redis is not None:
            self.redis.stop()
        if self.postgres is not None:
            self.postgres.stop()
        if self._lock is not None:
            services_file(self.settings.data_dir).unlink(missing_ok=True)
            self._lock.close()


def _revive(service: EmbeddedPostgres | EmbeddedRedis | Child) -> None:
    try:
        service.revive()
    except Exception:
        # Whatever it is: without this loop nothing would be started again any more.
        log.exception("A service could not be started again; trying once more.")
