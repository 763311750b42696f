"""The database, as long as a subcommand needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.settings import Settings

if TYPE_CHECKING:
    from models.database import Database


@contextmanager
def open_database(settings: Settings) -> Iterator["Database"]:
    """The database that the settings name, closed at the end however that comes."""
    from models.database import Database

    settings.require_services()
    # One connection to hold a lock or a snapshot by, one to work with.
    database = Database(settings.database_url, pool_size=2)
    try:
        yield database
    finally:
        database.close()
