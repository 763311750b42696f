"""A disk that is full, read-only or failing: no half file, and a sentence that says why."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import failpoints
from models.artifacts.filesystem import FilesystemStore
from models.failpoints import Failpoint, FailpointReached
from workers.failures import Failure, describe

CONTENT = os.urandom(1 << 20)
LIMITED = """
import os, resource, sys
from pathlib import Path
from models.artifacts.filesystem import FilesystemStore
from workers.failures import describe
store = FilesystemStore(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    store.put(lambda writer: writer.write(bytes(1_000_000)))
except OSError as error:
    print(describe(error).kind, describe(error).detail)
"""


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of failpoints that this process obeys."""
    folder = tmp_path / "failpoints"
    folder.mkdir()
    monkeypatch.setattr(failpoints, "FOLDER", str(folder))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, if this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]


def put(store: FilesystemStore) -> None:
    store.put(lambda writer: writer.write(CONTENT))


def test_a_full_disk_leaves_no_half_file_and_is_named(small_disk: Path) -> None:
    store = FilesystemStore(small_disk)
    kept = store.put(lambda writer: writer.write(b"small"))
    with pytest.raises(OSError, match="No space left") as full:
        put(store)
    assert full.value.errno == errno.ENOSPC
    assert describe(full.value) == Failure(
        "io-error", "No space left on device. Check the worker's disks."
    )
    assert files(small_disk) == [store.sized_path(kept)]
    store.read(kept)


def test_a_disk_that_has_become_read_only_is_named_and_still_read(small_disk: Path) -> None:
    store = FilesystemStore(small_disk)
    kept = store.put(lambda writer: writer.write(b"small"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        store.put(lambda writer: writer.write(b"more"))
    with pytest.raises(OSError, match="Read-only"):
        store.check()
    assert store.read(kept) == b"small"


def test_a_limit_in_the_middle_of_a_write_leaves_no_half_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "store")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "io-error File too large. Check the worker's disks.\n"
    assert files(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("step", [Failpoint.WRITE, Failpoint.WRITE_BEFORE_RENAME])
@pytest.mark.parametrize(("action", "error"), [("full", OSError), ("raise", FailpointReached)])
def test_a_write_that_fails_before_its_end_leaves_nothing(
    store: FilesystemStore,
    orders: Path,
    tmp_path: Path,
    step: Failpoint,
    action: str,
    error: type[Exception],
) -> None:
    (orders / step.value).write_text(action)
    with pytest.raises(error):
        put(store)
    assert files(tmp_path / "store") == []
    put(store)
    assert len(files(tmp_path / "store")) == 1


def test_one_that_fails_after_its_end_leaves_a_whole_file(
    store: FilesystemStore, orders: Path, tmp_path: Path
) -> None:
    (orders / Failpoint.WRITE_AFTER_RENAME.value).write_text("raise")
    with pytest.raises(FailpointReached):
        put(store)
    [path] = files(tmp_path / "store")
    assert path.read_bytes() == CONTENT


def test_every_step_of_a_write_is_reached_in_order(store: FilesystemStore, orders: Path) -> None:
    put(store)
    assert (orders / "reached").read_text().split() == [
        "write",
        "write.before_rename",
        "write.after_rename",
    ]
