"""Cells of the table, one JSON file each, so that an interrupted run goes on where it stopped.

    {folder}/{method}/{task}, seed {seed}.json

The folder is named by every setting of the run but not by the code: whoever changes a method
removes its folder.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


class DamagedCell(Exception):
    """A kept cell cannot be read; the message says which one, and what to do."""


@dataclass(frozen=True)
class Store:
    """The cells of one run's settings."""

    folder: Path

    def find(self, method: str, task: str, seed: int) -> Cell | None:
        """The cell, if it was measured.

        Raises:
            DamagedCell: it is empty, half written, or something else.

        """
        path = self._path(method, task, seed)
        if not path.exists():
            return None
        try:
            cell = json.loads(path.read_text())
        except ValueError as error:
            raise _damaged(path) from error
        if not isinstance(cell, dict):
            raise _damaged(path)
        return cell

    def keep(self, method: str, task: str, seed: int, cell: Cell) -> None:
        """Write the cell, whole or not at all."""
        path = self._path(method, task, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(cell, indent=2) + "\n")
        temporary.replace(path)

    def _path(self, method: str, task: str, seed: int) -> Path:
        return self.folder / method / f"{task}, seed {seed}.json"


def _damaged(path: Path) -> DamagedCell:
    return DamagedCell(f"{path} is not a cell. Delete it, and it is measured again.")
