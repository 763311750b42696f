"""The data folder: one owner at a time, and what else may lie in it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedded.folder import take_folder
from models.artifacts.filesystem import FilesystemStore
from models.errors import NotConfigured


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with take_folder(tmp_path), pytest.raises(NotConfigured, match="Another Expunge"):
        take_folder(tmp_path)
    take_folder(tmp_path).close()


def test_an_artifact_store_may_lie_in_a_folder_that_is_owned(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    with ThreadPoolExecutor(1) as pool, take_folder(tmp_path):
        stored = pool.submit(store.put, lambda writer: writer.write(b"x")).result(timeout=10)
    assert store.read(stored) == b"x"
