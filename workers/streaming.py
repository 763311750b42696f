"""Dampening from files to a file, piece by piece: for weights and sums that do not fit in memory.

The base, the full sums and every cohort's sums are read once, from start to end; the new checkpoint
is written meanwhile. All of them are hashed in that same pass. Only if the base's parameters have
several number formats do its tensors lie in another order than the sums', which are then read once
for each width of numbers. What is computed is what a run computes in memory, and so are the bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from typing import Any

import torch
from torch import Tensor

from models.artifacts import Artifact, ArtifactStore, Writer
from models.artifacts.hashing import HashedReader, Hashing
from models.artifacts.store import require_digest
from models.errors import ArtifactDamaged, WeightsMismatch
from models.processes import allow_open_files
from workers.tensors import Layout, Place, bytes_of
from workers.unlearning.dampening import Population, scale, tighten_tensor
from workers.unlearning.tuning import Setting

# Numbers of a piece: a few MB of each file; and of all files together, if there are many.
PIECE, OF_ALL = 1 << 19, 1 << 22


@dataclass(frozen=True)
class StreamedCohort:
    """A cohort's stored sums, one artifact for each of its labels, and how it is dampened."""

    sums: Sequence[Artifact]
    population: Population
    setting: Setting


def dampen_stored(
    base: Artifact,
    full: Artifact,
    cohorts: Sequence[StreamedCohort],
    metadata: Mapping[str, Any],
    store: ArtifactStore,
    writer: Writer,
) -> None:
    """Write the base dampened with all cohorts, as a checkpoint with `metadata`.

    Raises `ArtifactDamaged` at the end if a file was not the artifact it should be: what has been
    written by then is not to be used. `WeightsMismatch` if the files do not belong together.
    """
    files = 2 + sum(len(cohort.sums) for cohort in cohorts)
    allow_open_files(files)
    piece = min(PIECE, OF_ALL // files)
    with ExitStack() as opened:
        of_base = opened.enter_context(_stream(base, store, piece))
        of_full = opened.enter_context(_stream(full, store, piece))
        of_cohorts = [
            [opened.enter_context(_stream(sums, store, piece)) for sums in cohort.sums]
            for cohort in cohorts
        ]
        sums = [of_full, *(each for streams in of_cohorts for each in streams)]
        for stream in sums:
            _require_of_base(stream, of_base, of_full)
        kinds = {name: (place.dtype, place.shape) for name, place in of_base.places.items()}
        layout = Layout.of(kinds, metadata)
        if list(layout.places) != list(of_base.places):
            raise WeightsMismatch("The base holds its tensors in another order than ours.")
        writer.write(layout.header())
        for name, place in of_base.places.items():
            for stream in (of_base, *(sums if name in of_full.places else ())):
                stream.go_to(name)
            for size in _pieces(place, piece):
                weights = of_base.next(name, size)
                if name in of_full.places:
                    factors = _factors(name, size, of_full, of_cohorts, cohorts)
                    weights = scale(weights, factors)
                writer.write(bytes_of(weights))
        for stream in (of_base, *sums):
            stream.require_whole()


class _Stream:
    """The tensors of an artifact: in the order of the file by a single pass, else by several."""

    def __init__(
        self, file: FileIO, thread: ThreadPoolExecutor, artifact: Artifact, piece: int
    ) -> None:
        self._file = file
        self._thread = thread
        self._artifact = artifact
        self._reader = HashedReader(file, Hashing(thread))
        try:
            self.places = Layout.read(self._reader, artifact.size).places
        except (ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
            raise ArtifactDamaged(
                f"Artifact {artifact.sha256} is damaged: it does not begin as a file of tensors. "
                "Restore it from a backup; it is not used until then."
            ) from error
        widest = max((place.dtype.itemsize for place in self.places.values()), default=1)
        self._buffer = torch.empty(piece * widest, dtype=torch.uint8)

    def go_to(self, name: str) -> None:
        """Read up to where the tensor `name` begins; from the start again if that lies behind.

        What has been read until then is whole, or it raises `ArtifactDamaged`.
        """
        start = self.places[name].start
        if start < self._reader.position:
            self.require_whole()
            self._file.seek(0)
            self._reader = HashedReader(self._file, Hashing(self._thread))
        self._read_up_to(start)

    def next(self, name: str, size: int) -> Tensor:
        """The next `size` numbers of the tensor `name`, until the next are asked for."""
        place = self.places[name]
        assert place.start <= self._reader.position < place.stop
        piece = self._buffer[: size * place.dtype.itemsize]
        self._reader.read_into(piece.numpy().data)
        return piece.view(place.dtype)

    def require_whole(self) -> None:
        """Read what is left; raise `ArtifactDamaged` unless all of it is the artifact."""
        self._read_up_to(self._artifact.size)
        require_digest(self._artifact, self._reader.hexdigest())

    def _read_up_to(self, position: int) -> None:
        while self._reader.position < position:
            left = position - self._reader.position
            self._reader.read_into(self._buffer[: min(left, len(self._buffer))].numpy().data)


@contextmanager
def _stream(artifact: Artifact, store: ArtifactStore, piece: int) -> Iterator[_Stream]:
    with (
        store.sized_path(artifact).open("rb", buffering=0) as file,
        ThreadPoolExecutor(max_workers=1) as thread,
    ):
        yield _Stream(file, thread, artifact, piece)


def _require_of_base(sums: _Stream, base: _Stream, full: _Stream) -> None:
    """Sums are of some tensors of the base, all of the same ones."""
    shapes = {name: place.shape for name, place in sums.places.items()}
    of_base = {name: place.shape for name, place in base.places.items() if name in full.places}
    if shapes != of_base:
        # A name or a number of a header may be damaged, which is another matter.
        for stream in (sums, base, full):
            stream.require_whole()
        raise WeightsMismatch(
            "The Fisher sums are not those of these weights, but of a network's with other tensors."
        )


def _pieces(place: Place, piece: int) -> Iterator[int]:
    left = (place.stop - place.start) // place.dtype.itemsize
    while left:
        yield min(left, piece)
        left -= min(left, piece)


def _factors(
    name: str,
    size: int,
    of_full: _Stream,
    of_cohorts: Sequence[Sequence[_Stream]],
    cohorts: Sequence[StreamedCohort],
) -> Tensor:
    """The minimum over cohorts, as a run takes it, of the next `size` numbers."""
    full = of_full.next(name, size)
    factors = torch.ones(size, dtype=torch.float64)
    for streams, cohort in zip(of_cohorts, cohorts, strict=True):
        first, *rest = [stream.next(name, size) for stream in streams]
        # What a stream hands out is still being hashed.
        forget = first if not rest else first.clone()
        for more in rest:
            forget.add_(more)
        tighten_tensor(
            factors,
            full,
            forget,
            cohort.population,
            selection=cohort.setting.selection,
            strength=cohort.setting.strength,
        )
    return factors
