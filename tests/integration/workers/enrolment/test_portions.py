"""Enrolments whose labels have sums of their own: interrupted, disturbed, with other settings."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.artifacts import Artifact
from models.errors import ModelExists, ReaderDied, WorkerStopping
from models.records import FisherSums, ModelState
from models.registry import find_model
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import Digits
from tests.integration.app.support import execute
from tests.integration.workers.enrolment.test_pipeline import registered
from tests.support.preparing import prepared_on
from tests.support.several import SMALL, several
from workers import grace
from workers.enrolment.foreground import enrol_here
from workers.enrolment.pipeline import enrol
from workers.enrolment.summing import Summing
from workers.progress import Progress
from workers.resources import Resources, open_resources
from workers.tensors import read_tensors
from workers.unlearning.importances import Sums, zero_sums

SHARD = 100
TRAINED = 3240


@pytest.fixture
def opened(settings: Settings, tmp_path: Path) -> Iterator[Resources]:
    """What a worker has, with small shards, and notes that nobody else has."""
    own = settings.model_copy(update={"shard_size": SHARD, "data_dir": tmp_path / "data"})
    with open_resources(own) as resources:
        yield resources


def sums_on_record(resources: Resources, name: str = "digits") -> dict[int | None, Sums]:
    """What a finished enrolment has kept, by label."""
    with resources.database.reading() as session:
        model = find_model(session, name)
        assert model.state is ModelState.ACTIVE, model.failure
        rows = session.query(FisherSums).filter_by(model_id=model.id).all()
    return {
        row.label: read_tensors(resources.store.sized_path(Artifact(row.sha256, row.size)))[0]
        for row in rows
    }


def require_adding_up(found: dict[int | None, Sums]) -> None:
    """Those of labels are no more than those of all, and are most of them."""
    for name, total in found[None].items():
        of_labels = sum(float(found[label][name].sum()) for label in range(10) if label != SMALL)
        if float(total.sum()):
            assert 0.7 < of_labels / float(total.sum()) <= 1 + 1e-9, name


def require_same(found: dict[int | None, Sums], expected: dict[int | None, Sums]) -> None:
    """To the last bit."""
    assert found.keys() == expected.keys()
    for label, sums in expected.items():
        assert all(torch.equal(found[label][name], total) for name, total in sums.items())


def enrol_until(resources: Resources, enrolment: Enrolment, stop: Callable[[int], bool]) -> None:
    """Begin, and stop as a worker does that gets SIGTERM, once so many samples are done."""
    model_id = registered(resources, enrolment)

    def show(progress: Progress) -> None:
        if stop(progress.done):
            raise WorkerStopping("The worker is stopping.")

    enrol(model_id, resources, show)
    with resources.database.reading() as session:
        assert find_model(session, "digits").state is ModelState.ENROLLING


def go_on(resources: Resources) -> list[int]:
    """Take up what was begun; how many samples were done, whenever that was told."""
    with resources.database.reading() as session:
        model_id = find_model(session, "digits").id
    told: list[int] = []
    enrol(model_id, resources, lambda progress: told.append(progress.done))
    return told


def test_an_interrupted_enrolment_goes_on_in_the_middle_of_its_labels(
    opened: Resources, digits: Digits, tmp_path: Path
) -> None:
    enrolment = several(digits, tmp_path)
    enrol_until(opened, enrolment, lambda done: done > 1000)
    with opened.database.reading() as session:
        model_id = find_model(session, "digits").id
    (note,) = (opened.settings.data_dir / "enrolments").glob("*-label-0.safetensors")
    before, seen = note.stat().st_mtime_ns, set[int]()
    enrol(model_id, opened, lambda _progress: seen.add(note.stat().st_mtime_ns))
    # What was complete is not written again.
    assert seen == {before}
    require_adding_up(sums_on_record(opened))
    assert not list((opened.settings.data_dir / "enrolments").glob("*"))


@pytest.mark.parametrize(("before", "after"), [(0, 1 << 30), (1 << 30, 0)])
def test_room_for_more_or_fewer_labels_between_tries_counts_no_sample_twice(
    opened: Resources, digits: Digits, tmp_path: Path, before: int, after: int
) -> None:
    enrolment = several(digits, tmp_path)

    def with_room(most_bytes: int) -> Settings:
        return opened.settings.model_copy(update={"label_sums_bytes": most_bytes})

    with open_resources(with_room(1 << 30)) as undisturbed:
        other = enrolment.model_copy(update={"name": "other"})
        enrol(registered(undisturbed, other), undisturbed)
        with undisturbed.database.reading() as session:
            model = find_model(session, "other")
            (row,) = session.query(FisherSums).filter_by(model_id=model.id, label=None)
        expected, _ = read_tensors(undisturbed.store.sized_path(Artifact(row.sha256, row.size)))
    with open_resources(with_room(before)) as first:
        enrol_until(first, enrolment, lambda done: done > 2000)
    with open_resources(with_room(after)) as second:
        go_on(second)
        found = sums_on_record(second)
    assert set(found) == ({None} if after == 0 else {None, *range(10)} - {SMALL})
    for name, total in expected.items():
        difference = float((found[None][name] - total).abs().max())
        assert difference <= 1e-6 * float(total.abs().max()), name


def test_notes_are_not_gone_on_with_if_an_image_was_exchanged_meanwhile(
    opened: Resources, digits: Digits, tmp_path: Path
) -> None:
    enrolment, path = several(digits, tmp_path), tmp_path / "several.npz"
    enrol_until(opened, enrolment, lambda done: done > 1000)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file}
    arrays["images"][1] = 0.5
    np.savez(path, **arrays)
    go_on(opened)
    found = sums_on_record(opened)
    undisturbed = enrolment.model_copy(update={"name": "other"})
    enrol(registered(opened, undisturbed), opened)
    expected = sums_on_record(opened, "other")
    require_same(found, expected)


def test_an_enrolment_that_could_not_be_put_on_record_is_not_computed_again(
    opened: Resources, digits: Digits, tmp_path: Path
) -> None:
    enrolment = several(digits, tmp_path)
    no_rows = "ALTER TABLE fisher_sums ADD CONSTRAINT none CHECK (false) NOT VALID"
    execute(opened.settings, no_rows)
    enrol(registered(opened, enrolment), opened)
    with opened.database.reading() as session:
        assert find_model(session, "digits").state is ModelState.ENROLMENT_FAILED
    execute(opened.settings, "ALTER TABLE fisher_sums DROP CONSTRAINT none")
    registered(opened, enrolment)
    told = go_on(opened)
    # Only what is put together at the end is still to be done.
    assert next(done for done in told if done) == TRAINED
    require_adding_up(sums_on_record(opened))
    assert not list((opened.settings.data_dir / "enrolments").glob("*"))


@pytest.mark.parametrize("asked", [False, True])
def test_what_breaks_because_all_processes_are_to_stop_is_not_held_against_an_enrolment(
    opened: Resources, digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    # What the signal leaves behind is this process's own.
    monkeypatch.setattr(grace, "_asked_at", None)
    before = signal.getsignal(signal.SIGTERM)
    grace.listen()
    try:
        model_id = registered(opened, several(digits, tmp_path))

        def show(progress: Progress) -> None:
            if progress.done > 1000:
                if asked:
                    signal.raise_signal(signal.SIGTERM)
                raise ReaderDied("A process that reads images has died.")

        enrol(model_id, opened, show)
    finally:
        signal.signal(signal.SIGTERM, before)
    with opened.database.reading() as session:
        model = find_model(session, "digits")
    assert model.state is ModelState.ENROLLING
    assert model.enrolment_attempts == (0 if asked else 1)


def test_the_command_goes_on_with_the_very_enrolment_that_was_begun(
    opened: Resources, digits: Digits, tmp_path: Path
) -> None:
    enrolment = several(digits, tmp_path)
    enrol_until(opened, enrolment, lambda done: done > 1000)
    other = enrolment.model_copy(update={"weights": str(tmp_path / "others.safetensors")})
    with pytest.raises(ModelExists):
        enrol_here(other, opened.settings)
    enrol_here(enrolment, opened.settings)
    require_adding_up(sums_on_record(opened))
    with opened.database.reading() as session:
        assert find_model(session, "digits").enrolment_attempts <= 2


def summing_of(enrolment: Enrolment, resources: Resources) -> Summing:
    """What an enrolment has to sum, with notes of its own."""
    settings = resources.settings
    prepared = prepared_on(resources.device, enrolment)
    return Summing.of(enrolment, prepared, settings.data_dir / "notes", settings)


def test_notes_that_a_worker_puts_back_late_do_no_harm(
    opened: Resources, digits: Digits, tmp_path: Path
) -> None:
    # With two processes it is the same pass that is made again: test_ranks.py has one.
    summing = summing_of(several(digits, tmp_path), opened)
    summing.sum_all(lambda _count: None)
    expected = {portion.label: sums for portion, sums in summing.noted(lambda: None)}
    first, second, *_ = summing.portions
    # As it was when that worker began, and one that it had ended with and removed.
    summing.logs.of(first).write(zero_sums(summing.prepared.network), 0)
    summing.logs.of(second).path.unlink()
    found = {portion.label: sums for portion, sums in summing.noted(lambda: None)}
    require_same(found, expected)


def test_what_is_summed_again_can_be_stopped(
    opened: Resources, digits: Digits, tmp_path: Path
) -> None:
    summing = summing_of(several(digits, tmp_path), opened)
    asked: list[None] = []

    def go_on() -> None:
        asked.append(None)
        if len(asked) > 5:
            raise WorkerStopping("The worker is stopping.")

    # Nothing is noted yet, so all of it is summed.
    with pytest.raises(WorkerStopping):
        list(summing.noted(go_on))
    assert len(asked) == 6
