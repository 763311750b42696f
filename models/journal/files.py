"""The journal's files. They hold sample IDs: only their owner can read them."""

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.artifacts.filesystem import folder_of
from models.durable import make_folder_durably, sync_folder, write_durably
from models.errors import ArtifactDamaged

log = logging.getLogger(__name__)

PREPARED = ".prepared"
PUBLISHED = ".published"
EARLIER = "earlier"
REPLAYED = "replayed"
RETIRED = ".retired"


@dataclass(frozen=True, order=True)
class Entry:
    """One publication: the version, and the run that made it; of a base, the model itself."""

    version: int
    by: uuid.UUID

    @classmethod
    def named(cls, stem: str) -> "Entry":
        """The entry that a file's name stands for."""
        version, _, by = stem.partition("-")
        return cls(int(version), uuid.UUID(by))

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return f"{self.version:010d}-{self.by}"


class Journal:
    """The records of all registered models, in a folder for each name."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def models(self) -> list[str]:
        """The names of the models that anything is recorded of."""
        with suppress(FileNotFoundError):
            return sorted(path.name for path in self._root.iterdir())
        return []

    def prepare(self, model: str, entry: Entry, samples: Iterable[str]) -> None:
        """Record a publication that is about to be committed; on disk when this returns."""
        self._write(model, entry, samples, PREPARED)

    def confirm(self, model: str, entry: Entry) -> None:
        """The publication has been committed.

        A failure is logged and not raised, since that cannot be undone: the steward will confirm.
        """
        folder = self._root / model
        try:
            # If it is not there, a steward was quicker.
            with suppress(FileNotFoundError):
                (folder / f"{entry.stem}{PREPARED}").replace(folder / f"{entry.stem}{PUBLISHED}")
            sync_folder(folder)
        except OSError as error:
            log.warning("The journal of %s cannot be written: %s.", model, error.strerror)

    def write_published(self, model: str, entry: Entry, samples: Iterable[str]) -> None:
        """Record a publication that the database has, and the journal has not."""
        self._write(model, entry, samples, PUBLISHED)

    def discard(self, model: str, entry: Entry) -> None:
        """What was prepared will never be committed."""
        (self._root / model / f"{entry.stem}{PREPARED}").unlink(missing_ok=True)

    def prepared(self, model: str) -> list[Entry]:
        """Publications of which it is not recorded whether they were committed."""
        return _entries(self._root / model, PREPARED)

    def published(self, model: str) -> list[Entry]:
        """The last publication, and those that have not been laid aside yet."""
        return _entries(self._root / model, PUBLISHED)

    def earlier(self, model: str) -> list[Entry]:
        """Publications that were followed by others."""
        return _entries(self._root / model / EARLIER, PUBLISHED)

    def lay_aside(self, model: str, entry: Entry, where: str) -> None:
        """Move a publication to `EARLIER` or `REPLAYED`."""
        folder = self._root / model / where
        make_folder_durably(folder)
        # If it is not there, another steward was quicker.
        with suppress(FileNotFoundError):
            self._find(model, entry).replace(folder / f"{entry.stem}{PUBLISHED}")
        sync_folder(folder)

    def retire(self, model: str, model_id: uuid.UUID) -> None:
        """Record that a registered model is no more; on disk when this returns."""
        folder = self._root / model
        make_folder_durably(folder)
        write_durably(folder / f"{model_id}{RETIRED}", b"")

    def retired(self, model: str) -> set[uuid.UUID]:
        """The registered models of that name that are no more."""
        paths = (self._root / model).glob(f"*{RETIRED}")
        return {uuid.UUID(path.stem) for path in paths}

    def samples(self, model: str, entry: Entry) -> list[str]:
        """The IDs of the samples that a publication was the first not to carry.

        Raises `ArtifactDamaged`: what is not what was written must not be taken for what to forget.
        """
        path = self._find(model, entry)
        try:
            record = json.loads(path.read_bytes())
            samples: list[str] = record["samples"]
            whole = record["sha256"] == _digest(samples)
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise ArtifactDamaged(
                f"{path} is damaged: it does not hold any more which samples version "
                f"{entry.version} of {model!r} has forgotten. Put a copy of it in its place."
            )
        return samples

    def remove_unfinished(self, *, age_s: float) -> int:
        """Remove files that a dead process has left half written; return how many there were."""
        before = time.time() - age_s
        removed = 0
        for path in self._root.glob("*/.*.tmp"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed

    def _find(self, model: str, entry: Entry) -> Path:
        name = f"{entry.stem}{PUBLISHED}"
        above = self._root / model / name
        return above if above.exists() else self._root / model / EARLIER / name

    def _write(self, model: str, entry: Entry, samples: Iterable[str], ending: str) -> None:
        folder = self._root / model
        make_folder_durably(folder)
        forgotten = list(samples)
        record = {
            "model": model,
            "version": entry.version,
            "by": str(entry.by),
            "recorded_at": datetime.now(UTC).isoformat(),
            "samples": forgotten,
            "sha256": _digest(forgotten),
        }
        write_durably(folder / f"{entry.stem}{ending}", json.dumps(record).encode())


def open_journal(url: str) -> Journal:
    """The journal beside the artifacts of the store at `url`."""
    return Journal(folder_of(url) / "journal")


def _digest(samples: list[str]) -> str:
    return hashlib.sha256(json.dumps(samples).encode()).hexdigest()


def _entries(folder: Path, ending: str) -> list[Entry]:
    with suppress(FileNotFoundError):
        names = [name for name in os.listdir(folder) if name.endswith(ending)]
        return sorted(_entry(folder / name, ending) for name in names)
    return []


def _entry(path: Path, ending: str) -> Entry:
    try:
        return Entry.named(path.name.removesuffix(ending))
    except ValueError:
        raise ArtifactDamaged(
            f"{path.name} lies in the journal of {path.parent.name!r}, which names no file like "
            "that. Move it out of there, or give it back the name that it had."
        ) from None
