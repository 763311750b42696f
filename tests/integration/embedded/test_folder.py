"""The data folder: one owner at a time, and what else may lie in it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedded.folder import clear_folder, take_folder
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


def test_a_folder_that_was_made_here_is_cleared_as_often_as_one_likes(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    folder = tmp_path / "data" / "demo"
    clear_folder(folder)
    made = sorted(folder.iterdir())
    for _ in range(2):
        (folder / "keys").mkdir()
        (folder / "keys" / "admin").touch()
        (folder / "file").touch()
        (folder / "link").symlink_to(elsewhere)
        clear_folder(folder)
        assert sorted(folder.iterdir()) == made
    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize("left", [[], ["up.lock"]])
def test_a_folder_with_nothing_in_it_yet_may_be_taken(tmp_path: Path, left: list[str]) -> None:
    for name in left:
        (tmp_path / name).touch()
    clear_folder(tmp_path)
    clear_folder(tmp_path)


def test_a_folder_that_was_not_made_here_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "photograph.jpg").write_text("of somebody")
    with pytest.raises(NotConfigured, match="not made by a demo"):
        clear_folder(folder)
    assert [path.name for path in folder.iterdir()] == ["photograph.jpg"]
    with pytest.raises(NotConfigured, match="not made by a demo"):
        clear_folder(folder / "photograph.jpg")


def test_a_folder_that_somebody_owns_is_not_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    clear_folder(folder)
    (folder / "file").touch()
    with take_folder(folder), pytest.raises(NotConfigured, match="Another Expunge"):
        clear_folder(folder)
    assert (folder / "file").exists()
