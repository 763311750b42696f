"""Enrolments that are posted and turn out not to fit: a clear reason, and nothing kept."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.numpy import load_file, save_file

from models.settings import Settings
from tests.conftest import Digits, client_for, work
from tests.integration.app.support import assert_problem, enrolment, row_counts

# What an enrolment that failed may leave: that it was asked for, and that it failed.
KEPT = {"registered_model", "audit_record", "lease", "alembic_version"}


class Exploit:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def admin(settings: Settings) -> Any:
    with client_for(settings) as opened:
        yield opened


def refused(
    client: TestClient, settings: Settings, digits: Digits, **changed: Any
) -> dict[str, Any]:
    """Post, work off, check what is true of every refusal; what the registered model says."""
    posted = client.post("/v1/models", json=enrolment(digits, "bad", **changed))
    assert posted.status_code == 202, posted.text
    work(settings)

    view = client.get("/v1/models/bad").json()
    assert view["state"] == "enrolment_failed"
    assert view["head_version"] is None
    assert view["enrolled_at"] is None
    left = {table for table, rows in row_counts(settings).items() if rows}
    assert left <= KEPT
    body = {"model": "bad", "sample_ids": ["person-1"]}
    assert_problem(client.post("/v1/deletion-requests", json=body), 409, "model-not-active")
    events = [record["event"] for record in client.get("/v1/audit/records").json()["records"]]
    assert events == ["enrolment.requested", "enrolment.failed"]
    failure: dict[str, Any] = view["failure"]
    return failure


def test_a_pickle_is_refused_and_never_executed(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(pickle.dumps(Exploit(tmp_path / "executed")))

    failure = refused(admin, settings, digits, weights=str(weights))

    assert failure["kind"] == "weights-unreadable"
    assert "weights.safetensors" in failure["detail"]
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kept", [0.001, 0.5, 0.999])
def test_a_truncated_safetensors_file_is_refused(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path, kept: float
) -> None:
    whole = Path(digits.enrolment.weights).read_bytes()
    weights = tmp_path / "short.safetensors"
    weights.write_bytes(whole[: int(len(whole) * kept)])

    failure = refused(admin, settings, digits, weights=str(weights))

    assert failure["kind"] == "weights-unreadable"
    assert "short.safetensors" in failure["detail"]


def test_weights_that_are_not_there_are_refused(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    failure = refused(admin, settings, digits, weights=str(tmp_path / "absent.safetensors"))
    assert failure["kind"] == "weights-unreadable"
    assert "absent.safetensors" in failure["detail"]


def test_a_dataset_whose_images_are_missing_is_refused(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    rows = [f"photo-{number},{number}.png,{number % 10}" for number in range(40)]
    (tmp_path / "manifest.csv").write_text("\n".join(["sample_id,path,label", *rows]))
    for number in range(40):
        if number != 17:
            Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")

    dataset = {"kind": "images", "manifest": str(tmp_path / "manifest.csv")}
    failure = refused(admin, settings, digits, dataset=dataset)

    assert failure["kind"] == "dataset-unreadable"
    assert "17.png" in failure["detail"]


def test_a_dataset_that_is_not_there_is_refused(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    dataset = {"kind": "arrays", "path": str(tmp_path / "absent.npz")}
    failure = refused(admin, settings, digits, dataset=dataset)
    assert failure["kind"] == "dataset-unreadable"
    assert "absent.npz" in failure["detail"]


def test_a_class_count_that_does_not_fit_the_weights_is_refused(
    admin: TestClient, settings: Settings, digits: Digits
) -> None:
    architecture = {**enrolment(digits, "bad")["architecture"], "num_classes": 7}

    failure = refused(admin, settings, digits, architecture=architecture)

    assert failure["kind"] == "weights-mismatch"
    classifier = [
        name
        for name, tensor in load_file(digits.enrolment.weights).items()
        if tensor.shape[:1] == (10,)
    ]
    assert any(name in failure["detail"] for name in classifier)


def test_a_label_that_the_network_has_no_output_for_is_refused(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    arrays = dict(np.load(str(enrolment(digits, "bad")["dataset"]["path"])))
    arrays["labels"][123] = 10
    np.savez(tmp_path / "digits.npz", **arrays)

    dataset = {"kind": "arrays", "path": str(tmp_path / "digits.npz")}
    failure = refused(admin, settings, digits, dataset=dataset)

    assert failure["kind"] == "label-out-of-range"
    assert "10" in failure["detail"]


def test_weights_that_are_not_finite_are_refused_by_name(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    tensors = load_file(digits.enrolment.weights)
    name = sorted(tensors)[0]
    tensors[name].flat[0] = np.nan
    save_file(tensors, tmp_path / "nan.safetensors")

    failure = refused(admin, settings, digits, weights=str(tmp_path / "nan.safetensors"))

    assert failure["kind"] == "weights-mismatch"
    assert name in failure["detail"]


def test_an_architecture_that_nobody_knows_is_refused(
    admin: TestClient, settings: Settings, digits: Digits
) -> None:
    architecture = {"name": "resnet19", "num_classes": 10}
    failure = refused(admin, settings, digits, architecture=architecture)
    assert failure["kind"] == "unknown-architecture"
    assert "resnet19" in failure["detail"]


def test_the_name_of_a_failed_enrolment_can_be_used_again(
    admin: TestClient, settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    refused(admin, settings, digits, weights=str(tmp_path / "absent.safetensors"))

    assert admin.post("/v1/models", json=enrolment(digits, "bad")).status_code == 202
    work(settings)

    view = admin.get("/v1/models/bad").json()
    assert view["state"] == "active"
    assert view["failure"] is None
    assert row_counts(settings)["sample"] == 600
