"""`sources_root`: nothing outside that folder is read, by whatever way it is named."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from models.records import ModelState
from models.settings import Settings
from models.specifications import DatasetSpec, Enrolment, IdxSpec, ImagesSpec
from tests.conftest import Digits, enrol_model
from tests.integration.workers.enrolment.test_pipeline import fewer
from tests.integration.workers.enrolment.test_refusals import refusal
from workers.resources import open_resources


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


@pytest.fixture
def confined(settings: Settings, root: Path) -> Settings:
    return settings.model_copy(update={"sources_root": root})


@pytest.fixture
def inside(digits: Digits, root: Path) -> Enrolment:
    shutil.copy(digits.enrolment.weights, root / "base.safetensors")
    return fewer(digits, root).model_copy(update={"weights": str(root / "base.safetensors")})


def _refused(settings: Settings, enrolment: Enrolment) -> None:
    assert refusal(settings, enrolment)["kind"] == "source-outside-root"


def _with(enrolment: Enrolment, dataset: DatasetSpec) -> Enrolment:
    return enrolment.model_copy(update={"dataset": dataset})


def test_sources_below_the_root_are_enrolled(confined: Settings, inside: Enrolment) -> None:
    with open_resources(confined) as resources:
        assert enrol_model(resources, inside).state is ModelState.ACTIVE


def test_weights_elsewhere_are_refused(
    confined: Settings, inside: Enrolment, digits: Digits
) -> None:
    _refused(confined, inside.model_copy(update={"weights": digits.enrolment.weights}))


@pytest.mark.parametrize("name", ["../base.safetensors", "x/../../base.safetensors"])
def test_weights_reached_upwards_are_refused(
    confined: Settings, inside: Enrolment, root: Path, name: str
) -> None:
    shutil.copy(inside.weights, root.parent / "base.safetensors")
    _refused(confined, inside.model_copy(update={"weights": f"{root}/{name}"}))


def test_weights_behind_a_link_are_refused(
    confined: Settings, inside: Enrolment, digits: Digits, root: Path
) -> None:
    (root / "link.safetensors").symlink_to(digits.enrolment.weights)
    _refused(confined, inside.model_copy(update={"weights": str(root / "link.safetensors")}))


def test_a_folder_with_the_same_beginning_is_not_below_the_root(
    confined: Settings, inside: Enrolment, root: Path
) -> None:
    beside = root.with_name("sources-of-others")
    beside.mkdir()
    shutil.copy(inside.weights, beside)
    _refused(confined, inside.model_copy(update={"weights": str(beside / "base.safetensors")}))


def test_data_elsewhere_are_refused(
    confined: Settings, inside: Enrolment, digits: Digits, tmp_path: Path
) -> None:
    _refused(confined, _with(inside, digits.enrolment.dataset))
    _refused(confined, _with(inside, IdxSpec(path=str(tmp_path))))
    _refused(confined, _with(inside, ImagesSpec(manifest=str(tmp_path / "manifest.csv"))))


def test_data_behind_a_linked_folder_are_refused(
    confined: Settings, inside: Enrolment, root: Path, tmp_path: Path
) -> None:
    (root / "linked").symlink_to(tmp_path)
    _refused(confined, _with(inside, IdxSpec(path=str(root / "linked"))))


@pytest.mark.parametrize("way", ["absolute", "upwards", "link"])
def test_images_that_a_manifest_takes_from_elsewhere_are_refused(
    confined: Settings, inside: Enrolment, root: Path, tmp_path: Path, way: str
) -> None:
    outside = tmp_path / "private.png"
    Image.new("L", (8, 8)).save(outside)
    (root / "link.png").symlink_to(outside)
    path = {"absolute": outside, "upwards": "../private.png", "link": "link.png"}[way]
    rows = "\n".join(f"s-{position},{path},{position % 10}" for position in range(20))
    (root / "manifest.csv").write_text(f"sample_id,path,label\n{rows}\n")
    _refused(confined, _with(inside, ImagesSpec(manifest=str(root / "manifest.csv"))))
