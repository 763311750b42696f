"""What is collected, and above all what is not."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, update

from models import backup_lock
from models.artifacts import SHELVES, Artifact
from models.records import UnlearningRun
from models.references import find_referenced
from models.registry import register_model
from models.scrubbing import note_new
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.test_steward import stewardship
from tests.integration.workers.transactions.test_claims import claimed
from workers.duties.collecting import (
    collect_shard_logs,
    collect_shelf,
    collect_unfinished,
    collect_unreferenced,
)

HOUR = 3600
ORPHAN = b"what a run has put that died before it could say so"


def put(story: Story, content: bytes = ORPHAN) -> Artifact:
    return story.resources.store.put(lambda writer: writer.write(content))


def path_of(story: Story, artifact: Artifact) -> Path:
    return story.resources.store.sized_path(artifact)


def make_old(path: Path, seconds: float = 2 * HOUR) -> None:
    found = path.stat()
    os.utime(path, (found.st_atime, found.st_mtime - seconds))


def collect(story: Story) -> int:
    held = stewardship(story)
    # Nothing can lie on a shelf that there is not, and there are hundreds.
    store = Path(story.resources.settings.artifact_store_url.removeprefix("file://"))
    shelves = [folder.name for folder in (store / "sha256").iterdir()]
    return sum(collect_shelf(shelf, held) for shelf in shelves)


def needed(story: Story) -> list[Artifact]:
    with story.database.reading() as session:
        return find_referenced(session)


def scrubbed_once(story: Story) -> None:
    with story.database.transaction() as session:
        note_new(session)


@contextmanager
def backup_under_way(story: Story) -> Iterator[None]:
    with story.database.engine.connect() as connection:
        backup_lock.share(connection)
        yield


def test_what_no_row_names_is_collected_after_an_hour(story: Story) -> None:
    orphan = put(story)
    assert collect(story) == 0
    make_old(path_of(story, orphan))
    assert collect(story) == 1
    assert not Path(story.path(0).parents[1] / orphan.sha256[:2] / orphan.sha256).exists()
    assert collect(story) == 0


def test_what_rows_name_is_never_collected_however_old(story: Story, digits: Digits) -> None:
    story.forget(digits.of_label(3))
    kept = needed(story)
    # Base, digests of images, full sums, a version, and the sums of a label.
    assert len(kept) == 5
    for artifact in kept:
        make_old(path_of(story, artifact), 1000 * HOUR)
    assert collect(story) == 0
    for artifact in kept:
        story.resources.store.read(artifact)


def test_what_was_replaced_is_kept_for_an_hour_from_then_on(story: Story, digits: Digits) -> None:
    story.forget(digits.of_label(3)[:20])
    scrubbed_once(story)
    before = needed(story)
    story.forget(digits.of_label(3)[20:])
    paths = [path_of(story, replaced) for replaced in set(before) - set(needed(story))]
    # The label's sums, and the version that carries what has been forgotten now.
    assert len(paths) == 2
    for path in paths:
        make_old(path)
    assert collect(story) == 0
    # Their time runs from when they were found to be no longer needed.
    assert collect(story) == 0
    for path in paths:
        make_old(path)
    assert collect(story) == 2
    assert not any(path.exists() for path in paths)


def test_what_is_put_again_counts_as_new(story: Story) -> None:
    orphan = put(story)
    make_old(path_of(story, orphan))
    assert put(story) == orphan
    assert collect(story) == 0
    story.resources.store.read(orphan)


def test_what_a_run_has_put_stays_as_long_as_the_run_lasts(story: Story, digits: Digits) -> None:
    story.post(digits.of_label(3))
    claimed(story, story.resources)
    with story.database.transaction() as session:
        began = func.now() - func.make_interval(0, 0, 0, 0, 5)
        session.execute(update(UnlearningRun).values(created_at=began))
    early, late = put(story, b"from before the run"), put(story, b"from the run")
    make_old(path_of(story, early), 6 * HOUR)
    make_old(path_of(story, late), 4 * HOUR)
    assert collect(story) == 1
    story.resources.store.read(late)


def test_nothing_goes_while_a_backup_is_made(story: Story) -> None:
    make_old(path_of(story, put(story)))
    with backup_under_way(story):
        assert collect(story) == 0
    assert collect(story) == 1


def test_many_stewards_at_once_remove_each_file_once(story: Story) -> None:
    orphans = [put(story, bytes([number])) for number in range(64)]
    for orphan in orphans:
        make_old(path_of(story, orphan))
    with ThreadPoolExecutor(3) as pool:
        removed = sum(pool.map(lambda _: collect(story), range(3)))
    # Who finds another at it leaves the shelf alone until the next time.
    removed += collect(story)
    assert removed == len(orphans)


def test_putting_and_collecting_at_once_never_lose_what_was_put(story: Story) -> None:
    held = stewardship(story)
    stop = threading.Event()
    removed: list[int] = []

    def collect_on() -> None:
        shelf = put(story).sha256[:2]
        while not stop.is_set():
            removed.append(collect_shelf(shelf, held))

    collector = threading.Thread(target=collect_on)
    collector.start()
    lost = 0
    for _ in range(300):
        artifact = put(story)
        try:
            story.resources.store.read(artifact)
            make_old(path_of(story, artifact))
        except Exception:  # noqa: BLE001
            lost += 1
    stop.set()
    collector.join()
    print(f"put 300 times, collected {sum(removed)} times, lost {lost}")
    assert lost == 0


def test_a_round_looks_at_one_shelf_and_all_come_in_turn(story: Story) -> None:
    make_old(path_of(story, put(story)))
    held = stewardship(story)
    assert sum(collect_unreferenced(held) for _ in SHELVES) == 1
    assert held.memory.shelves_done == len(SHELVES)


def test_unfinished_files_are_collected_when_nobody_writes_to_them(story: Story) -> None:
    folder = story.path(0).parents[2] / "tmp"
    fresh, stale = folder / "fresh", folder / "stale"
    for path in (fresh, stale):
        path.write_bytes(b"half of it")
    make_old(stale)
    assert collect_unfinished(stewardship(story)) == 1
    assert fresh.exists()
    assert not stale.exists()


@pytest.mark.parametrize("enrolling", [False, True])
def test_notes_of_enrolments_go_when_nobody_can_take_them_up(
    story: Story, digits: Digits, enrolling: bool
) -> None:
    folder = story.resources.settings.data_dir / "enrolments"
    folder.mkdir(exist_ok=True)
    stale, fresh = folder / "stale.safetensors", folder / "fresh.safetensors"
    for path in (stale, fresh):
        path.write_bytes(b"")
    make_old(stale, story.resources.settings.enrolment_limit_s + HOUR)
    if enrolling:
        with story.database.transaction() as session:
            register_model(session, digits.enrolment.model_copy(update={"name": "two"}), "test")
    assert collect_shard_logs(stewardship(story)) == (0 if enrolling else 1)
    assert fresh.exists()
    assert stale.exists() is enrolling
    fresh.unlink()
    stale.unlink(missing_ok=True)
