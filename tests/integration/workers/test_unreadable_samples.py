"""Images that are gone when their samples are to be forgotten: each fails alone."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from demo.training import save
from models.records import ModelState, Outcome
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import OPEN_GATE, enrol_model
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import outcomes, sample_row
from workers.architectures import build
from workers.resources import open_resources

COUNT = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest, its PNG files, and weights nobody has trained."""
    bunch = load_digits()
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sample_id", "path", "label", "split"])
        for position in range(COUNT):
            pixels = (bunch.images[position] * 15.9).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{position}.png")
            split = "holdout" if position % 10 == 0 else "train"
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
            "preprocessing": {"size": 8, "channels": 1},
            "policy": {"gate": OPEN_GATE, "probe_size": 20},
        }
    )
    torch.manual_seed(0)
    save(build(enrolment.architecture), folder / "base.safetensors")
    return enrolment


def test_healthy_samples_are_forgotten_beside_unreadable_ones(
    settings: Settings, folder: Path
) -> None:
    with open_resources(settings) as resources:
        assert enrol_model(resources, enrolment_of(folder)).state is ModelState.ACTIVE
        story = Story(resources)
        (folder / "3.png").unlink()
        (folder / "5.png").write_bytes((folder / "5.png").read_bytes()[:40])
        request = story.forget([f"face-{position}" for position in range(1, 9)])
        assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: 6, Outcome.FAILED: 2}
        assert len(story.runs()) == 1
        assert story.checkpoints()[-1].forgotten_count == 6
        assert sample_row(story.database, "face-3").forgotten_version is None
        assert sample_row(story.database, "face-4").forgotten_version == 1


def test_a_sample_whose_place_holds_another_is_not_forgotten_in_its_stead(
    settings: Settings, folder: Path
) -> None:
    with open_resources(settings) as resources:
        enrol_model(resources, enrolment_of(folder))
        story = Story(resources)
        header, *rows = (folder / "manifest.csv").read_text().splitlines()
        rows[3], rows[4] = rows[4], rows[3]
        (folder / "manifest.csv").write_text("\n".join([header, *rows]))
        request = story.forget(["face-3", "face-5"])
        assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: 1, Outcome.FAILED: 1}
        assert sample_row(story.database, "face-3").forgotten_version is None


def test_a_probe_does_without_what_cannot_be_read(settings: Settings, folder: Path) -> None:
    with open_resources(settings) as resources:
        enrol_model(resources, enrolment_of(folder))
        story = Story(resources)
        for position in range(0, COUNT, 10):
            (folder / f"{position}.png").unlink()
        story.forget(["face-3"])
        (run,) = story.runs()
        assert run.verdict is not None
        assert run.verdict["figures"]["after"]["holdout"] == {
            "count": 0,
            "accuracy": None,
            "loss": None,
        }
        assert run.version == 1


def test_when_no_sample_can_be_read_nothing_is_published(settings: Settings, folder: Path) -> None:
    with open_resources(settings) as resources:
        enrol_model(resources, enrolment_of(folder))
        story = Story(resources)
        (folder / "3.png").unlink()
        request = story.forget(["face-3"])
        assert outcomes(story.database, request.id) == {Outcome.FAILED: 1}
        assert [row.version for row in story.checkpoints()] == [0]
