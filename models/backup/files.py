"""Artifacts from one store to another, none of them twice."""

from collections.abc import Iterator

from models.artifacts import Artifact, ArtifactStore, KeptStore, Writer
from models.artifacts.hashing import PIECE
from models.errors import ArtifactDamaged, ArtifactMissing
from models.scrubbing import fault_of


def copy_artifact(artifact: Artifact, source: ArtifactStore, target: KeptStore) -> bool:
    """Have an artifact in `target`, whole; whether it had to be copied.

    Raises `ArtifactMissing` or `ArtifactDamaged` if `source` has not got it whole either.
    """
    if fault_of(artifact, target) is None:
        # As if it had been copied now: rows that refer to it may come later.
        target.refresh(artifact.sha256)
        return False

    def write(writer: Writer) -> None:
        for piece in _pieces(artifact, source):
            writer.write(piece)

    copied = target.put(write)
    if copied != artifact:
        # What lies there now may be another artifact's good copy: it is not ours to remove.
        raise ArtifactDamaged(
            f"Artifact {artifact.sha256} is damaged: its bytes hash to {copied.sha256}."
        )
    return True


def _pieces(artifact: Artifact, source: ArtifactStore) -> Iterator[bytes]:
    """What `source` has; that it cannot be read is the artifact's damage, not the backup's end."""
    try:
        with source.sized_path(artifact).open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise ArtifactDamaged(
            f"Artifact {artifact.sha256} cannot be read: {error.strerror}."
        ) from error


def is_copied(artifact: Artifact, source: ArtifactStore, target: KeptStore) -> bool | None:
    """Copy an artifact unless `target` has it; None if `source` has not got it whole either."""
    try:
        return copy_artifact(artifact, source, target)
    except (ArtifactMissing, ArtifactDamaged):
        return None
