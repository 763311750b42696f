"""Datasets and networks that are refused: the reason is in the row, and nothing else is."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, select
from torch import Tensor

from models.records import (
    AuditRecord,
    Checkpoint,
    FisherSums,
    Lease,
    ModelState,
    Sample,
)
from models.settings import Settings
from models.specifications import Enrolment, ImagesSpec, Preprocessing
from tests.conftest import Digits, enrol_model
from tests.integration.workers.enrolment.test_pipeline import FEW, fewer
from workers.datasets.digests import digest_images
from workers.datasets.source import ImageSource
from workers.enrolment import pipeline
from workers.resources import Resources, open_resources

IDS = np.array([f"person-{position}" for position in range(FEW)])
LABELS = np.arange(FEW) % 10


def refusal(settings: Settings, enrolment: Enrolment) -> dict[str, str]:
    """Enrol what must be refused; the failure, after a look that nothing of it was kept."""
    with open_resources(settings) as resources:
        model = enrol_model(resources, enrolment)
        assert model.state is ModelState.ENROLMENT_FAILED
        assert (model.head_version, model.label_counts, model.progress) == (None, None, None)
        _require_nothing_kept(resources, model.id)
    assert model.failure is not None
    return model.failure


def _require_nothing_kept(resources: Resources, model_id: uuid.UUID) -> None:
    with resources.database.reading() as session:
        for record in (Sample, Checkpoint, FisherSums):
            assert session.scalar(select(func.count()).select_from(record)) == 0
        events = session.scalars(select(AuditRecord.event).order_by(AuditRecord.sequence)).all()
        lease = session.get_one(Lease, model_id)
        now = session.scalar(select(func.clock_timestamp()))
    assert events[-2:] == ["enrolment.requested", "enrolment.failed"]
    assert lease.holder is None
    assert lease.expires_at < now


def _replaced(values: Any, position: int, value: Any) -> Any:
    changed = np.array(values, dtype=object)
    changed[position] = value
    return np.array(changed.tolist())


def _images(position: int, pixel: float) -> Any:
    images = np.full((FEW, 8, 8), 0.5, dtype=np.float32)
    images[position, 0, 0] = pixel
    return images


ARRAYS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "duplicate IDs": (
        {"ids": np.array([f"person-{position // 2}" for position in range(FEW)])},
        "duplicate-samples",
        ["20", "person-0, person-1, person-2"],
    ),
    "a label above the classes": (
        {"labels": _replaced(LABELS, 7, 10)},
        "label-out-of-range",
        ["position 7", "10"],
    ),
    "a negative label": (
        {"labels": _replaced(LABELS, 3, -1)},
        "label-out-of-range",
        ["position 3", "-1"],
    ),
    "an ID with a line feed": (
        {"ids": _replaced(IDS, 5, "per\nson")},
        "invalid-sample-id",
        ["position 5", "control character", r"per\nson"],
    ),
    "an ID with an escape": (
        {"ids": _replaced(IDS, 5, "\x1b[31m")},
        "invalid-sample-id",
        ["position 5", "control character"],
    ),
    "an empty ID": ({"ids": _replaced(IDS, 5, "")}, "invalid-sample-id", ["position 5", "empty"]),
    "an ID too long": (
        {"ids": _replaced(IDS, 5, "a" * 256)},
        "invalid-sample-id",
        ["position 5", "256"],
    ),
    "no samples": (
        {"ids": IDS[:0], "labels": LABELS[:0], "images": _images(0, 0)[:0], "splits": IDS[:0]},
        "dataset-unreadable",
        ["no samples"],
    ),
    "nothing to train on": (
        {"splits": np.array(["holdout"] * FEW)},
        "dataset-unreadable",
        ["holdout"],
    ),
    "a pixel that is no number": (
        {"images": _images(11, float("nan"))},
        "dataset-unreadable",
        ["position 11", "NaN"],
    ),
    "fewer labels than images": (
        {"labels": LABELS[:-1]},
        "dataset-unreadable",
        ["labels", "39", "40"],
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_cannot_be_enrolled_are_refused(
    settings: Settings, digits: Digits, tmp_path: Path, case: str
) -> None:
    changed, kind, words = ARRAYS[case]
    failure = refusal(settings, fewer(digits, tmp_path, **changed))
    assert failure["kind"] == kind
    assert all(word in failure["detail"] for word in words), failure["detail"]


def test_a_dataset_that_is_not_there_is_named(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    enrolment = fewer(digits, tmp_path)
    (tmp_path / "few.npz").unlink()
    failure = refusal(settings, enrolment)
    assert failure["kind"] == "dataset-unreadable"
    assert str(tmp_path / "few.npz") in failure["detail"]


def _manifest(digits: Digits, folder: Path, *, missing: int = 0, damaged: int = 0) -> Enrolment:
    folder.mkdir(exist_ok=True)
    rows = ["sample_id,path,label"]
    for position in range(20):
        path = folder / f"image-{position}.png"
        rows.append(f"s-{position},{path.name},{position % 10}")
        Image.new("L", (8, 8), position).save(path)
        if position < missing:
            path.unlink()
        elif position >= 20 - damaged:
            path.write_bytes(path.read_bytes()[:40])
    (folder / "manifest.csv").write_text("\n".join(rows))
    dataset = ImagesSpec(manifest=str(folder / "manifest.csv"))
    return digits.enrolment.model_copy(update={"dataset": dataset})


def test_an_image_that_is_exchanged_meanwhile_is_not_summed_in_its_place(
    settings: Settings, digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_exchange(source: ImageSource, count: int, go_on: Callable[[], None]) -> Tensor:
        digests = digest_images(source, count, go_on)
        for path in tmp_path.glob("*.png"):
            Image.new("L", (8, 8), 200).save(path)
        return digests

    monkeypatch.setattr(pipeline, "digest_images", then_exchange)
    failure = refusal(settings, _manifest(digits, tmp_path))
    assert failure["kind"] == "dataset-unreadable"
    assert "is not the one that was enrolled" in failure["detail"]


def test_missing_images_are_counted_and_the_first_ones_named(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    failure = refusal(settings, _manifest(digits, tmp_path, missing=7))
    assert failure["kind"] == "dataset-unreadable"
    assert "7 of 20" in failure["detail"]
    assert all(f"image-{position}.png" in failure["detail"] for position in range(3))


def test_a_damaged_image_is_named(settings: Settings, digits: Digits, tmp_path: Path) -> None:
    failure = refusal(settings, _manifest(digits, tmp_path, damaged=5))
    assert failure["kind"] == "dataset-unreadable"
    assert "image-" in failure["detail"]


def _with_classes(enrolment: Enrolment, classes: int) -> Enrolment:
    architecture = enrolment.architecture.model_copy(update={"num_classes": classes})
    return enrolment.model_copy(update={"architecture": architecture})


def _named(enrolment: Enrolment, name: str, **options: Any) -> Enrolment:
    architecture = enrolment.architecture.model_copy(update={"name": name, "options": options})
    return enrolment.model_copy(update={"architecture": architecture})


NETWORKS: dict[str, tuple[Callable[[Enrolment], Enrolment], str, list[str]]] = {
    "too many classes": (
        lambda enrolment: _with_classes(enrolment, 12),
        "weights-mismatch",
        ["'head.", "12"],
    ),
    "too few classes": (
        lambda enrolment: _with_classes(enrolment, 9),
        "weights-mismatch",
        ["'head.", "9"],
    ),
    "colour for a network of grey": (
        lambda enrolment: enrolment.model_copy(
            update={"preprocessing": Preprocessing(size=8, channels=3, mean=[0], std=[1])}
        ),
        "network-mismatch",
        ["3 channels", "preprocessing"],
    ),
    "an unknown architecture": (
        lambda enrolment: _named(enrolment, "small_resnt"),
        "unknown-architecture",
        ["small_resnt", "small_resnet"],
    ),
    "an unknown option": (
        lambda enrolment: _named(enrolment, "small_resnet", depth=3),
        "unknown-architecture",
        ["depth"],
    ),
    "another width": (
        lambda enrolment: _named(enrolment, "small_resnet", in_channels=1, width=8),
        "weights-mismatch",
        ["'head.weight'", "[10, 64]", "[10, 32]"],
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_that_does_not_fit_is_refused(
    settings: Settings, digits: Digits, tmp_path: Path, case: str
) -> None:
    change, kind, words = NETWORKS[case]
    failure = refusal(settings, change(fewer(digits, tmp_path)))
    assert failure["kind"] == kind
    assert all(word in failure["detail"] for word in words), failure["detail"]


def test_a_network_that_only_guesses_is_refused(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    # Every digit has the number of the next one.
    labels = (np.array(digits.labels[:FEW]) + 1) % 10
    failure = refusal(settings, fewer(digits, tmp_path, labels=labels))
    assert failure["kind"] == "network-mismatch"
    assert "of 36 training images right, and guessing would do so with 4" in failure["detail"]
    assert "mean and std" in failure["detail"]


def test_after_a_refusal_the_name_can_be_used_again(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    refusal(settings, fewer(digits, tmp_path, labels=_replaced(LABELS, 0, 99)))
    refusal(settings, fewer(digits, tmp_path, ids=_replaced(IDS, 0, "")))
    with open_resources(settings) as resources:
        model = enrol_model(resources, fewer(digits, tmp_path))
        with resources.database.reading() as session:
            assert session.scalar(select(func.count()).select_from(Sample)) == FEW
    assert (model.state, model.failure) == (ModelState.ACTIVE, None)
