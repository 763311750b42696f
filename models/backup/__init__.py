"""Backups: the database as it was at one moment, and every artifact that it refers to.

    <folder>/manifest.json       what there is, with digests; written last
    <folder>/tables-…/<table>    the rows, as PostgreSQL's COPY writes them
    <folder>/artifacts/          a store, with the files that the rows refer to

A folder holds one backup. Another one made there copies only artifacts that are new, and takes the
place of the first when it is complete.
"""

from models.backup.making import Made, make_backup
from models.backup.restoring import Restored, restore_backup, restore_files

__all__ = ["Made", "Restored", "make_backup", "restore_backup", "restore_files"]
