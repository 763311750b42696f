"""Enrolment: what is kept of a network that was accepted, to the last digit."""

import hashlib
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.artifacts import Artifact
from models.audit.events import Event
from models.database import Database
from models.records import AuditRecord, Checkpoint, FisherSums, ModelState, RegisteredModel, Sample
from models.references import find_referenced
from models.registry import find_model, register_model
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import ADMIN_KEY, Digits, client_for, enrol_model, work
from workers.architectures import build
from workers.datasets.digests import DIGEST_BYTES
from workers.enrolment.pipeline import enrol
from workers.enrolment.records import Enrolling, begin_enrolment, write_progress
from workers.leases import give_back, take_lease
from workers.progress import Progress
from workers.resources import Resources, open_resources
from workers.tensors import read_tensors

FEW = 40


def fewer(digits: Digits, folder: Path, name: str = "few", **changed: Any) -> Enrolment:
    """An enrolment of the first few digits; `changed` arrays replace those of the file."""
    path = folder / f"{name}.npz"
    with np.load(Path(digits.enrolment.dataset.path)) as file:  # type: ignore[union-attr]
        arrays = {key: file[key][:FEW] for key in file} | changed
    np.savez(path, **arrays)
    dataset = digits.enrolment.dataset.model_copy(update={"path": str(path)})
    return digits.enrolment.model_copy(update={"name": name, "dataset": dataset})


def registered(resources: Resources, enrolment: Enrolment) -> uuid.UUID:
    """The ID of a model that waits to be enrolled."""
    with resources.database.transaction() as session:
        return register_model(session, enrolment, "test").id


def _full(session: Session, model_id: uuid.UUID) -> FisherSums:
    return session.scalars(select(FisherSums).where(FisherSums.model_id == model_id)).one()


def _oracle(digits: Digits) -> dict[str, torch.Tensor]:
    """Absolute gradients of ‖f(x)‖² in float64, one training sample at a time."""
    network = build(digits.enrolment.architecture).double()
    network.load_state_dict(load_file(digits.enrolment.weights))
    with np.load(Path(digits.enrolment.dataset.path)) as file:  # type: ignore[union-attr]
        images, splits = file["images"], file["splits"]
    sums = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for image, split in zip(images, splits, strict=True):
        if split != "train":
            continue
        network.zero_grad()
        pixels = (torch.from_numpy(image.astype(np.float64))[None, None] - 0.3) / 0.35
        network(pixels).square().sum().backward()
        for name, value in network.named_parameters():
            assert value.grad is not None
            sums[name] += value.grad.abs()
    return sums


def test_every_sample_has_its_row(resources: Resources, digits: Digits) -> None:
    with resources.database.reading() as session:
        model = find_model(session, "digits")
        rows = session.scalars(select(Sample).order_by(Sample.position)).all()
    assert [row.sample_id for row in rows] == digits.sample_ids
    assert [row.position for row in rows] == list(range(len(digits.sample_ids)))
    assert [row.label for row in rows] == digits.labels
    splits = ["holdout" if position % 10 == 0 else "train" for position in range(len(rows))]
    assert [row.split.value for row in rows] == splits
    assert sorted(row.probe_rank for row in rows) == list(range(len(rows)))
    assert {row.forgotten_version for row in rows} == {None}
    counted = {
        split: dict(Counter(str(row.label) for row in rows if row.split.value == split))
        for split in ("train", "holdout")
    }
    assert model.label_counts == counted


def test_the_registered_model_is_active_at_its_base(resources: Resources, digits: Digits) -> None:
    with resources.database.reading() as session:
        model = find_model(session, "digits")
        base = session.scalars(select(Checkpoint)).one()
    assert (model.state, model.head_version) == (ModelState.ACTIVE, 0)
    assert (model.progress, model.failure) == (None, None)
    assert model.enrolled_at is not None
    assert (base.version, base.parent_version, base.forgotten_count) == (0, None, 0)
    path = resources.store.sized_path(Artifact(base.sha256, base.size))
    kept, given = load_file(path), load_file(digits.enrolment.weights)
    assert kept.keys() == given.keys()
    assert all(torch.equal(kept[name], given[name]) for name in given)


def test_the_registered_model_says_what_its_base_recognises(
    resources: Resources, digits: Digits
) -> None:
    with resources.database.reading() as session:
        found = find_model(session, "digits").base_accuracy
    assert found is not None
    assert set(found) == {"train", "holdout"}
    # Fifty of each label, and of labels with fewer all.
    with resources.database.reading() as session:
        splits = session.execute(select(Sample.split, Sample.label)).all()
    for split, share in found.items():
        counts = Counter(label for each, label in splits if each == split)
        assert share["count"] == sum(min(50, count) for count in counts.values())
    for share in found.values():
        assert 0.9 < share["value"] <= 1
        assert share["low"] < share["value"] <= share["high"]


def test_the_sums_say_what_they_are_sums_of(resources: Resources, digits: Digits) -> None:
    with resources.database.reading() as session:
        model = find_model(session, "digits")
        base = session.scalars(select(Checkpoint)).one()
        full = _full(session, model.id)
    provenance = full.provenance
    assert provenance["weights"] == base.sha256
    assert provenance["manifest"] == model.manifest_digest
    assert (provenance["estimator"], provenance["estimator_version"]) == ("label_free", 1)
    assert full.kind.value == "full"
    assert full.label is None
    assert full.sample_count == len(digits.sample_ids) * 9 // 10
    path = resources.store.sized_path(Artifact(full.sha256, full.size))
    _, metadata = read_tensors(path)
    assert metadata == {"provenance": provenance, "sample_count": full.sample_count}


def test_the_sums_equal_a_loop_in_float64(resources: Resources, digits: Digits) -> None:
    with resources.database.reading() as session:
        full = _full(session, find_model(session, "digits").id)
    kept = load_file(resources.store.sized_path(Artifact(full.sha256, full.size)))
    oracle = _oracle(digits)
    assert kept.keys() == oracle.keys()
    for name, expected in oracle.items():
        assert kept[name].shape == expected.shape
        difference = torch.linalg.vector_norm(kept[name].double() - expected)
        assert difference <= 1e-5 * torch.linalg.vector_norm(expected), name


def test_a_digest_of_every_image_is_kept_and_on_record(
    resources: Resources, digits: Digits
) -> None:
    with resources.database.reading() as session:
        model = find_model(session, "digits")
        details = session.scalars(
            select(AuditRecord.details).where(AuditRecord.event == Event.MODEL_ENROLLED)
        ).one()
        needed = find_referenced(session)
    assert details["images"] == model.digests_sha256
    assert model.digests_sha256 is not None
    assert model.digests_size is not None
    artifact = Artifact(model.digests_sha256, model.digests_size)
    assert artifact in needed
    kept = load_file(resources.store.sized_path(artifact))
    with np.load(Path(digits.enrolment.dataset.path)) as file:  # type: ignore[union-attr]
        images = file["images"]
    assert kept["digests"].tolist() == [
        list(hashlib.blake2b(image.tobytes(), digest_size=DIGEST_BYTES).digest())
        for image in images
    ]


def test_enrolling_the_same_twice_gives_the_same_bytes(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    found = []
    with open_resources(settings) as resources:
        for name in ("one", "two"):
            model = enrol_model(resources, fewer(digits, tmp_path, name))
            with resources.database.reading() as session:
                base = session.scalars(
                    select(Checkpoint.sha256).where(Checkpoint.model_id == model.id)
                ).one()
                sums = _full(session, model.id).sha256
                found.append((base, sums, model.manifest_digest, model.digests_sha256))
    assert found[0] == found[1]


def test_progress_is_in_the_row_while_it_lasts(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    with open_resources(settings) as resources:
        model_id = registered(resources, fewer(digits, tmp_path))
        seen: list[tuple[Progress, Any]] = []

        def look(progress: Progress) -> None:
            with resources.database.reading() as session:
                seen.append((progress, session.get_one(RegisteredModel, model_id).progress))

        enrol(model_id, resources, look)
    training = FEW * 9 // 10
    assert [row for _, row in seen] == [progress.as_json() for progress, _ in seen]
    assert seen[0][1] == {"phase": "weigh", "done": 0, "total": training, "eta_s": None}
    assert seen[-1][1] == {"phase": "weigh", "done": training, "total": training, "eta_s": 0.0}


@pytest.mark.parametrize("further", [True, False])
def test_deaths_count_against_an_enrolment_only_if_none_gets_any_further(
    settings: Settings, digits: Digits, tmp_path: Path, further: bool
) -> None:
    with open_resources(settings) as resources:
        model_id = registered(resources, fewer(digits, tmp_path))
        begun = []
        for attempt in range(2 * settings.max_attempts):
            found = begin_enrolment(model_id, resources)
            begun.append(found)
            if found is None:
                break
            assert found.reached == (attempt if further else 0)
            progress = Progress("weigh", attempt + 1 if further else 0, 100, None)
            write_progress(found, progress, resources, is_ahead=further)
            # It dies, and its lease runs out.
            with resources.database.transaction() as session:
                give_back(session, model_id, found.epoch)
        with resources.database.reading() as session:
            state = session.get_one(RegisteredModel, model_id).state
    assert (begun[-1] is not None) is further
    assert state is (ModelState.ENROLLING if further else ModelState.ENROLMENT_FAILED)


def test_an_enrolment_goes_on_while_its_progress_cannot_be_written(
    settings: Settings, digits: Digits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with open_resources(settings) as resources:
        progress = Progress("weigh", 1, 100, None)
        cut_off = replace(resources, database=away)
        enrolling = Enrolling(uuid.uuid4(), 1, fewer(digits, tmp_path), reached=0)
        write_progress(enrolling, progress, cut_off, is_ahead=False)
    assert "could not be written" in caplog.text


def test_an_enrolment_that_somebody_else_is_at_is_left_alone(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    with open_resources(settings) as resources:
        with resources.database.transaction() as session:
            model_id = register_model(session, fewer(digits, tmp_path), "test").id
            session.flush()
            take_lease(session, model_id, "somebody-else", 60)
        enrol(model_id, resources)
        with resources.database.reading() as session:
            assert session.get_one(RegisteredModel, model_id).state is ModelState.ENROLLING
            assert session.scalars(select(Checkpoint)).all() == []


def test_an_enrolment_is_on_the_audit_log(resources: Resources) -> None:
    with resources.database.reading() as session:
        model = find_model(session, "digits")
        full = _full(session, model.id)
        base = session.scalars(select(Checkpoint.sha256)).one()
        records = session.scalars(select(AuditRecord).order_by(AuditRecord.sequence)).all()
    assert [record.event for record in records] == ["enrolment.requested", "model.enrolled"]
    assert {record.model_id for record in records} == {model.id}
    assert records[0].actor == "test"
    details = records[1].details
    assert (details["base"], details["sums"]) == (base, full.sha256)
    assert (details["manifest"], details["training_samples"]) == (model.manifest_digest, 540)


def test_a_posted_enrolment_is_carried_out_by_a_worker(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    enrolment = fewer(digits, tmp_path)
    with client_for(settings, ADMIN_KEY) as client:
        posted = client.post("/v1/models", json=enrolment.model_dump(mode="json"))
        assert (posted.status_code, posted.json()["state"]) == (202, "enrolling")
        work(settings)
        assert client.get(posted.headers["Location"]).json()["state"] == "active"
