"""Tables to files and back, by PostgreSQL's COPY: any number of rows, in little memory."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from psycopg import Cursor, sql
from sqlalchemy import Connection, text

from models.artifacts.hashing import PIECE, HashedReader, HashedWriter, hashing
from models.backup.manifest import TableFile
from models.errors import BackupUnusable
from models.records import Base


def write_tables(connection: Connection, folder: Path) -> list[TableFile]:
    """Write every table, those first that others refer to."""
    # So that dates are read alike by a server that is set to other customs.
    connection.execute(text("SET LOCAL DateStyle = 'ISO, YMD'"))
    return [
        _write_table(connection, table.name, [column.name for column in table.columns], folder)
        for table in Base.metadata.sorted_tables
    ]


def check_table(table: TableFile, folder: Path) -> None:
    """Raise `BackupUnusable` unless the file is what was written."""
    path = folder / table.name
    if not path.is_file() or path.stat().st_size != table.size or _digest_of(path) != table.sha256:
        raise BackupUnusable(
            f"The rows of {table.name} are damaged in this backup: {path}. Take another one."
        )


def fill_tables(connection: Connection, tables: Sequence[TableFile], folder: Path) -> None:
    """Fill empty tables from their files, and let what is counted go on where it was."""
    for table in tables:
        with _cursor(connection) as cursor:
            statement = sql.SQL("COPY {} ({}) FROM STDIN (ENCODING 'UTF8')").format(
                sql.Identifier(table.name), _listed(table.columns)
            )
            with (folder / table.name).open("rb") as file, cursor.copy(statement) as copy:
                while piece := file.read(PIECE):
                    copy.write(piece)
    counted = [
        (table.name, column.name)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.identity is not None
    ]
    for name, column in counted:
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'), "  # noqa: S608
                f"coalesce(max({column}), 1), max({column}) IS NOT NULL) FROM {name}"
            )
        )
    connection.execute(text("ANALYZE"))


def _write_table(
    connection: Connection, name: str, columns: Sequence[str], folder: Path
) -> TableFile:
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (ENCODING 'UTF8')").format(
        _listed(columns), sql.Identifier(name)
    )
    rows = 0
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        open(descriptor, "wb", buffering=0) as file,
        hashing() as digest,
        _cursor(connection) as cursor,
        cursor.copy(statement) as copy,
    ):
        writer = HashedWriter(file, digest)
        for piece in copy:
            # A line is a row: line ends within values are written as two characters.
            rows += bytes(piece).count(b"\n")
            writer.write(memoryview(piece))
        os.fsync(descriptor)
        return TableFile(
            name=name,
            columns=list(columns),
            rows=rows,
            sha256=digest.hexdigest(),
            size=writer.size,
        )


@contextmanager
def _cursor(connection: Connection) -> Iterator[Cursor]:
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        yield cursor


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _digest_of(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file, hashing() as digest:
        reader = HashedReader(file, digest)
        buffer = memoryview(bytearray(min(PIECE, size)))
        while reader.position < size:
            reader.read_into(buffer[: size - reader.position])
        return digest.hexdigest()
