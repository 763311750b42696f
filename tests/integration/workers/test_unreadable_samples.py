"""Images that are gone, or other ones, when their samples are to be forgotten: each fails alone."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sqlalchemy import select, update

from benchmarks.tools.stack import OPEN_GATE
from demo.training import save, train
from models.doorbell import Job
from models.records import (
    DeletionItem,
    DeletionRequest,
    ModelState,
    Outcome,
    RequestState,
    RunState,
)
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import enrol_model, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import outcomes, sample_row
from workers import datasets
from workers.datasets.isolation import IsolatedReader, Read
from workers.resources import open_resources

COUNT = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest and its PNG files."""
    bunch = load_digits()
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "path", "label", "split"])
        for position in range(COUNT):
            pixels = (bunch.images[position] * 15.9).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{position}.png")
            # The first ten are one of each label.
            split = "holdout" if position < 10 else "train"
            rows.writerow([f"face-{position}", f"{position}.png", bunch.target[position], split])
    return tmp_path


def enrolment_of(folder: Path) -> Enrolment:
    """The folder as a registered model."""
    enrolment = Enrolment.model_validate(
        {
            "name": "digits",
            "architecture": {
                "name": "small_resnet",
                "num_classes": 10,
                "options": {"in_channels": 1, "width": 4},
            },
            "weights": str(folder / "base.safetensors"),
            "dataset": {"kind": "images", "manifest": str(folder / "manifest.csv")},
            "preprocessing": {"size": 8, "channels": 1, "mean": [0], "std": [1]},
            "policy": {"gate": OPEN_GATE, "probe_size": 20},
        }
    )
    network = train(
        enrolment.architecture,
        enrolment.dataset,
        enrolment.preprocessing,
        holdout=enrolment.holdout,
        epochs=20,
        seed=0,
    )
    save(network, folder / "base.safetensors")
    return enrolment


@pytest.fixture
def story(settings: Settings, folder: Path) -> Iterator[Story]:
    """The folder, enrolled."""
    with open_resources(settings) as resources:
        assert enrol_model(resources, enrolment_of(folder)).state is ModelState.ACTIVE
        yield Story(resources)


def test_healthy_samples_are_forgotten_beside_unreadable_ones(story: Story, folder: Path) -> None:
    (folder / "13.png").unlink()
    (folder / "15.png").write_bytes((folder / "15.png").read_bytes()[:40])
    request = story.forget([f"face-{position}" for position in range(11, 19)])
    assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: 6, Outcome.FAILED: 2}
    assert len(story.runs()) == 1
    assert story.checkpoints()[-1].forgotten_count == 6
    assert sample_row(story.database, "face-13").forgotten_version is None
    assert sample_row(story.database, "face-14").forgotten_version == 1


@pytest.mark.parametrize("change", ["swapped", "removed", "relabelled"])
def test_nothing_is_forgotten_by_a_dataset_that_is_not_what_was_enrolled(
    story: Story, folder: Path, change: str
) -> None:
    manifest = folder / "manifest.csv"
    before = manifest.read_text()
    header, *rows = before.splitlines()
    if change == "swapped":
        # Neither of which anybody asks for: the probe would look at others in their places.
        rows[20], rows[21] = rows[21], rows[20]
    elif change == "removed":
        del rows[50]
    else:
        rows[20] = rows[20].replace(",0,", ",1,")
    manifest.write_text("\n".join([header, *rows]))
    request_id = story.post(["face-13", "face-15"])
    resting = story.resources.settings.model_copy(update={"retry_s": 60})
    work(resting)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 2}
    assert [(run.failure or {})["kind"] for run in story.runs()] == ["dataset-changed"]

    manifest.write_text(before)
    with story.database.transaction() as session:
        session.execute(update(DeletionItem).values(retry_at=None))
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(resting)
    assert outcomes(story.database, request_id) == {Outcome.FORGOTTEN: 2}


def blank(path: Path) -> None:
    """What some deletions leave in an image's place."""
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)


def test_a_placeholder_is_not_taken_for_the_image_that_was_enrolled(
    story: Story, folder: Path
) -> None:
    blank(folder / "13.png")
    request = story.forget(["face-13", "face-14", "face-15"])
    assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: 2, Outcome.FAILED: 1}
    with story.database.reading() as session:
        failed = session.scalars(
            select(DeletionItem).where(DeletionItem.outcome == Outcome.FAILED)
        ).one()
    assert failed.sample_id == "face-13"
    assert "not the one that was enrolled" in (failed.reason or "")
    assert sample_row(story.database, "face-13").forgotten_version is None


def test_a_dataset_of_other_images_is_not_taken_for_samples_that_fail(
    story: Story, folder: Path
) -> None:
    for image in folder.glob("*.png"):
        blank(image)
    request_id = story.post(["face-13", "face-14"])
    work(story.resources.settings.model_copy(update={"retry_s": 60}))
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 2}
    (run,) = story.runs()
    assert (run.failure or {})["kind"] == "dataset-unreadable"
    assert "not the one that was enrolled" in (run.failure or {})["detail"]


def test_a_dataset_that_is_gone_is_not_taken_for_all_of_its_samples_having_been_deleted(
    story: Story, folder: Path
) -> None:
    asked = [f"face-{position}" for position in range(11, COUNT)]
    for image in folder.glob("*.png"):
        image.unlink()
    request_id = story.post(asked)
    work(story.resources.settings.model_copy(update={"retry_s": 60}))
    assert outcomes(story.database, request_id) == {Outcome.PENDING: len(asked)}
    (run,) = story.runs()
    assert (run.failure or {})["kind"] == "dataset-unreadable"


def test_images_that_are_asked_for_do_not_show_that_others_can_be_read(
    story: Story, folder: Path
) -> None:
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    asked = [row for row in rows if row["label"] == "4" and row["split"] == "train"]
    for path in {row["path"] for row in rows} - {row["path"] for row in asked}:
        (folder / path).unlink()
    request_id = story.post(["face-13", *(row["sample_id"] for row in asked)])
    work(story.resources.settings.model_copy(update={"retry_s": 60}))
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 1 + len(asked)}
    (run,) = story.runs()
    assert (run.failure or {})["kind"] == "dataset-unreadable"


def test_a_probe_does_without_images_that_are_other_ones(story: Story, folder: Path) -> None:
    for position in range(5, 10):
        blank(folder / f"{position}.png")
    story.forget(["face-13"])
    (run,) = story.runs()
    assert run.verdict is not None
    assert run.verdict.figures.candidate.holdout.accuracy.count == 5
    assert run.version == 1


def test_an_unreadable_sample_does_not_wait_for_the_review_of_others(
    story: Story, folder: Path
) -> None:
    story.set_policy(gate={"min_probe": 1000})
    (folder / "13.png").unlink()
    alone, other = story.post(["face-13"]), story.post(["face-15"])
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    assert outcomes(story.database, alone) == {Outcome.FAILED: 1}
    assert outcomes(story.database, other) == {Outcome.PENDING: 1}
    with story.database.reading() as session:
        assert session.get_one(DeletionRequest, alone).state is RequestState.SETTLED


def test_a_probe_does_without_what_cannot_be_read(story: Story, folder: Path) -> None:
    for position in range(5, 10):
        (folder / f"{position}.png").unlink()
    story.forget(["face-13"])
    (run,) = story.runs()
    assert run.verdict is not None
    assert run.verdict.figures.candidate.holdout.accuracy.count == 5
    assert run.version == 1


def test_when_no_sample_can_be_read_nothing_is_published(story: Story, folder: Path) -> None:
    (folder / "13.png").unlink()
    request = story.forget(["face-13"])
    assert outcomes(story.database, request.id) == {Outcome.FAILED: 1}
    assert [row.version for row in story.checkpoints()] == [0]


def test_a_folder_that_is_away_for_a_while_is_not_taken_for_images_that_are_gone(
    story: Story, folder: Path
) -> None:
    images = sorted(folder.glob("*.png"))
    away = folder / "away"
    away.mkdir()
    for image in images:
        image.rename(away / image.name)
    resting = story.resources.settings.model_copy(update={"retry_s": 60})
    request_id = story.post(["face-13", "face-14"])
    work(resting)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 2}
    assert [(run.failure or {})["kind"] for run in story.runs()] == ["dataset-unreadable"]

    for image in images:
        (away / image.name).rename(image)
    with story.database.transaction() as session:
        session.execute(update(DeletionItem).values(retry_at=None))
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(resting)
    assert outcomes(story.database, request_id) == {Outcome.FORGOTTEN: 2}


@pytest.mark.parametrize("delete", [Path.unlink, blank])
def test_what_was_forgotten_stays_so_although_its_image_is_deleted_afterwards(
    story: Story, folder: Path, delete: Callable[[Path], None]
) -> None:
    # One of five images of its label: a cohort of its own.
    story.forget(["face-13"])
    delete(folder / "13.png")
    story.forget(["face-14"])
    first, second = story.runs()
    assert first.verdict is not None
    assert second.verdict is not None
    (before,) = first.verdict.cohorts
    after = {cohort.name: cohort for cohort in second.verdict.cohorts}
    assert set(after) == {"label 3", "label 4"}
    for setting in ("selection", "strength", "dampened"):
        assert getattr(after["label 3"], setting) == getattr(before, setting)
    assert after["label 3"].candidate.closeness == "undecidable"
    assert "could not be looked at, because their images are gone" in second.verdict.remarks[-1]
    assert second.version == 2


def test_a_cohort_that_grows_is_dampened_no_less_where_its_images_are_gone(
    story: Story, folder: Path
) -> None:
    strong = {"method": "fixed", "alpha": 0.5, "lambda": 0.5}
    story.set_policy(method=strong, gate=OPEN_GATE)
    story.forget(["face-13"])
    (folder / "13.png").unlink()
    story.set_policy(gate=OPEN_GATE)
    story.forget(["face-23"])
    verdict = story.runs()[-1].verdict
    assert verdict is not None
    (cohort,) = verdict.cohorts
    assert cohort.samples == 2
    assert cohort.selection <= 0.5
    assert cohort.strength <= 0.5


def test_a_run_decodes_with_as_many_processes_as_its_settings_say(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def reader(read: Read, processes: int) -> IsolatedReader:
        told.append(processes)
        return IsolatedReader(read, processes)

    monkeypatch.setattr(datasets, "IsolatedReader", reader)
    settings = story.resources.settings.model_copy(update={"loaders": 3})
    story.resources = replace(story.resources, settings=settings)
    story.forget(["face-13"])
    assert told == [3]
