"""Artifacts in a folder: whole or not at all, and never other bytes than those written."""

import hashlib
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from models.artifacts import Artifact, Writer, open_store
from models.artifacts.filesystem import FilesystemStore
from models.artifacts.hashing import PIECE
from models.errors import ArtifactDamaged, ArtifactMissing, NotConfigured

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "a store"


@pytest.fixture
def store(root: Path) -> FilesystemStore:
    return FilesystemStore(root)


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != "lock")


def _put(store: FilesystemStore, content: bytes = CONTENT) -> Artifact:
    return store.put(lambda writer: writer.write(content))


def test_what_is_put_is_there_under_its_digest(store: FilesystemStore, root: Path) -> None:
    artifact = _put(store)
    assert artifact == Artifact(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    [path] = _files(root)
    assert path == root / "sha256" / artifact.sha256[:2] / artifact.sha256
    assert store.sized_path(artifact) == path
    assert store.read(artifact) == CONTENT


def test_an_artifact_may_be_empty(store: FilesystemStore) -> None:
    artifact = store.put(lambda writer: None)
    assert artifact.size == 0
    assert store.read(artifact) == b""


def test_the_same_content_twice_is_one_file(store: FilesystemStore, root: Path) -> None:
    assert _put(store) == _put(store)
    assert len(_files(root)) == 1


def test_a_writer_that_raises_leaves_nothing(store: FilesystemStore, root: Path) -> None:
    def write(writer: Writer) -> None:
        writer.write(CONTENT)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        store.put(write)
    assert _files(root) == []
    assert _put(store).size == len(CONTENT)


@pytest.mark.parametrize("sizes", [[0], [1, 0, 2], [PIECE - 1, 2], [PIECE], [2 * PIECE + 1, 7]])
def test_pieces_of_any_size_are_stored_in_order(store: FilesystemStore, sizes: list[int]) -> None:
    parts = [os.urandom(size) for size in sizes]

    def write(writer: Writer) -> None:
        # What has been written may be overwritten at once.
        for part in parts:
            buffer = bytearray(part)
            writer.write(memoryview(buffer))
            buffer[:] = bytes(len(buffer))

    artifact = store.put(write)
    whole = b"".join(parts)
    assert artifact == Artifact(hashlib.sha256(whole).hexdigest(), len(whole))
    assert store.read(artifact) == whole


def test_what_was_read_is_the_readers_own(store: FilesystemStore) -> None:
    artifact = _put(store)
    store.read(artifact)[:] = bytes(len(CONTENT))
    assert store.read(artifact) == CONTENT


def test_others_cannot_read_what_is_stored(store: FilesystemStore) -> None:
    path = store.sized_path(_put(store))
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("offset", [0, 12_345, len(CONTENT) - 1])
def test_one_flipped_bit_is_noticed(store: FilesystemStore, offset: int) -> None:
    artifact = _put(store)
    path = store.sized_path(artifact)
    damaged = bytearray(CONTENT)
    damaged[offset] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ArtifactDamaged, match=artifact.sha256):
        store.read(artifact)


@pytest.mark.parametrize("length", [0, 1, len(CONTENT) - 1])
def test_a_truncated_file_is_noticed(store: FilesystemStore, length: int) -> None:
    artifact = _put(store)
    store.sized_path(artifact).write_bytes(CONTENT[:length])
    with pytest.raises(ArtifactDamaged):
        store.read(artifact)
    with pytest.raises(ArtifactDamaged, match=f"{length} bytes instead of {len(CONTENT)}"):
        store.sized_path(artifact)


def test_putting_the_right_bytes_again_repairs_a_damaged_file(store: FilesystemStore) -> None:
    artifact = _put(store)
    store.sized_path(artifact).write_bytes(b"damaged")
    assert _put(store) == artifact
    assert store.read(artifact) == CONTENT


def test_a_missing_file_is_named(store: FilesystemStore) -> None:
    artifact = Artifact("ab" * 32, 1)
    with pytest.raises(ArtifactMissing, match=artifact.sha256):
        store.read(artifact)
    with pytest.raises(ArtifactMissing):
        store.sized_path(artifact)


def test_two_stores_on_one_folder_are_one(store: FilesystemStore, root: Path) -> None:
    artifact = _put(store)
    assert open_store(root.as_uri()).read(artifact) == CONTENT


def test_checking_leaves_no_file(store: FilesystemStore, root: Path) -> None:
    store.check()
    assert _files(root) == []


def test_checking_a_disk_on_which_nothing_fits_raises(store: FilesystemStore, root: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files may be made, and hold nothing, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert _files(root) == []


def test_checking_a_folder_that_is_gone_raises(store: FilesystemStore, root: Path) -> None:
    (root / "tmp").rmdir()
    with pytest.raises(OSError, match="No such file"):
        store.check()


def test_what_lies_on_scratch_is_gone_afterwards(store: FilesystemStore, root: Path) -> None:
    with store.scratch() as scratch:
        artifact = _put(scratch)
        assert scratch.read(artifact) == CONTENT
        with pytest.raises(ArtifactMissing):
            store.read(artifact)
        assert store.remove_unfinished(age_s=-1) == 0
        assert scratch.read(artifact) == CONTENT
    assert list((root / "tmp").iterdir()) == []


def test_what_a_killed_process_has_left_on_scratch_is_removed(
    store: FilesystemStore, root: Path
) -> None:
    here, there = multiprocessing.Pipe()

    def put_and_wait() -> None:
        with store.scratch() as scratch:
            _put(scratch)
            there.send("ready")
            signal.pause()

    process = multiprocessing.get_context("fork").Process(target=put_and_wait)
    process.start()
    assert here.poll(60)
    assert here.recv() == "ready"
    assert store.remove_unfinished(age_s=-1) == 0
    process.kill()
    process.join()
    assert _files(root / "tmp")
    assert store.remove_unfinished(age_s=60) == 0
    assert store.remove_unfinished(age_s=-1) == 1
    assert list((root / "tmp").iterdir()) == []


def test_an_unknown_kind_of_store_is_named() -> None:
    with pytest.raises(NotConfigured, match="'ftp'"):
        open_store("ftp://host/folder")
