"""Artifacts damaged in every way that files come to harm: all of them are refused.

There are two thousand of them in the long form.
"""

import hashlib
import io
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select

from models.artifacts import Artifact
from models.errors import ArtifactDamaged, ArtifactMissing, WeightsMismatch
from models.records import ArtifactCheck, FisherSums, SumsKind
from models.registry import find_model
from models.scrubbing import scrub_everything
from workers.resources import Resources
from workers.streaming import StreamedCohort, dampen_stored
from workers.subjects import read_on
from workers.tensors import write_tensors
from workers.unlearning.dampening import Population
from workers.unlearning.tuning import Setting

SHORT, LONG = 300, 2000
SUMS = {"a": torch.ones(40).double(), "b": torch.ones(2, 3).double()}
WEIGHTS = {"a": torch.ones(40), "b": torch.ones(2, 3), "count": torch.ones((), dtype=torch.int64)}
Damage = Callable[[bytes, bytes, random.Random], bytes]


def flip(content: bytes, _other: bytes, draw: random.Random) -> bytes:
    bits = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 50))):
        bits[draw.randrange(len(bits))] ^= 1 << draw.randrange(8)
    return bytes(bits) if bytes(bits) != content else flip(content, _other, draw)


def flip_in_header(content: bytes, _other: bytes, draw: random.Random) -> bytes:
    bits = bytearray(content)
    bits[draw.randrange(min(200, len(bits)))] ^= 1 << draw.randrange(8)
    return bytes(bits)


def truncate(content: bytes, _other: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(1, len(content))]


def extend(content: bytes, _other: bytes, draw: random.Random) -> bytes:
    return content + draw.randbytes(draw.choice((1, 8, 4096)))


def swap(_content: bytes, other: bytes, _draw: random.Random) -> bytes:
    return other


def empty(_content: bytes, _other: bytes, _draw: random.Random) -> bytes:
    return b""


def zero_a_block(content: bytes, _other: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content) - 16)
    return content[:start] + bytes(16) + content[start + 16 :]


DAMAGES: tuple[Damage, ...] = (flip, flip_in_header, truncate, extend, swap, empty, zero_a_block)


def file_of(number: int) -> bytes:
    """A base, sums over everything, or sums of a label; no two are alike."""
    tensors = {k: t * (number + 1) for k, t in (WEIGHTS if number % 3 == 0 else SUMS).items()}
    file = io.BytesIO()
    write_tensors(file, tensors, {"number": f"{number:06d}"})
    return file.getvalue()


def place(resources: Resources, whole: bytes, found: bytes) -> Artifact:
    """An artifact as it was put, and as the disk has it now."""
    artifact = Artifact(hashlib.sha256(whole).hexdigest(), len(whole))
    root = Path(resources.settings.artifact_store_url.removeprefix("file://"))
    path = root / "sha256" / artifact.sha256[:2] / artifact.sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(found)
    return artifact


class Whole:
    """A base, full sums and a label's sums as they should be."""

    def __init__(self, resources: Resources) -> None:
        self._store = resources.store
        contents = [file_of(10_000 * 3 + role) for role in range(3)]
        self._artifacts = [place(resources, content, content) for content in contents]

    def dampen_with(self, artifact: Artifact, role: int) -> None:
        """A damaged artifact takes the place of the one that has its role."""
        base, full, forget = [*self._artifacts[:role], artifact, *self._artifacts[role + 1 :]]
        cohort = StreamedCohort([forget], Population(10, 2), Setting(1.0, 1.0))
        dampen_stored(base, full, [cohort], {}, self._store, io.BytesIO())


def test_they_are_refused_by_everything_that_reads_them(
    resources: Resources, torture: bool
) -> None:
    count = LONG if torture else SHORT
    draw = random.Random(5)
    whole = Whole(resources)
    whole.dampen_with(whole._artifacts[0], 0)
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    damaged: list[Artifact] = []
    for number in range(count):
        damage = DAMAGES[number % len(DAMAGES)]
        content = file_of(number)
        found = damage(content, file_of(number + 3), draw)
        if found == content:
            # Zeros where there were zeros.
            found = flip(content, b"", draw)
        artifact = place(resources, content, found)
        damaged.append(artifact)
        kinds[damage.__name__] += 1
        for reader, read in {
            "store.read": lambda artifact=artifact: resources.store.read(artifact),
            "read_on": lambda artifact=artifact: read_on(artifact, resources),
            "dampen_stored": lambda artifact=artifact, role=number % 3: whole.dampen_with(
                artifact, role
            ),
        }.items():
            with suppress(ArtifactDamaged, WeightsMismatch):
                read()
                continue
            refused[reader] += 1
    refused["scrub"] = scrubbed(resources, damaged)
    print(f"{count} damaged artifacts {dict(kinds)}; refused by {dict(refused)}")
    assert set(refused.values()) == {count}


def scrubbed(resources: Resources, damaged: list[Artifact]) -> int:
    """How many of them the scrub has found, and recorded, and nothing else."""
    with resources.database.transaction() as session:
        model_id = find_model(session, "digits").id
        full = session.scalars(select(FisherSums)).one()
        session.add_all(
            FisherSums(
                model_id=model_id,
                kind=SumsKind.FORGET,
                label=label,
                version=0,
                sample_count=1,
                provenance=full.provenance,
                sha256=artifact.sha256,
                size=artifact.size,
            )
            for label, artifact in enumerate(damaged)
        )
    found = list(scrub_everything(resources.database, resources.store, "test"))
    digests = {artifact.sha256 for artifact in damaged}
    assert {each.artifact.sha256 for each in found if each.fault} == digests
    with resources.database.reading() as session:
        recorded = select(ArtifactCheck.sha256).where(ArtifactCheck.fault.is_not(None))
        assert set(session.scalars(recorded)) == digests
    return len(digests)


@hypothesis_settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(found=st.binary(max_size=3000), number=st.integers(0, 50))
def test_whatever_bytes_there_are_instead_are_refused(
    resources: Resources, found: bytes, number: int
) -> None:
    content = file_of(number)
    artifact = place(resources, content, found)
    with pytest.raises(ArtifactDamaged):
        read_on(artifact, resources)
    place(resources, content, content)
    assert read_on(artifact, resources)


def test_one_that_is_gone_is_refused_and_named(resources: Resources) -> None:
    gone = Artifact("ab" * 32, 10)
    with pytest.raises(ArtifactMissing, match=gone.sha256):
        read_on(gone, resources)
    with pytest.raises(ArtifactMissing, match=gone.sha256):
        Whole(resources).dampen_with(gone, 2)
