"""Enrolments and runs of a worker with a GPU: real servers, and what they hold in the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sqlalchemy import select
from torch import Tensor

from benchmarks.tools.stack import OPEN_GATE
from models.artifacts import Artifact
from models.records import Checkpoint, FisherSums, Outcome, RunState, SumsKind
from models.settings import Settings
from tests.conftest import Digits, enrol_model
from tests.gpu.networks import on_cpu
from tests.integration.workers.conftest import Story
from tests.integration.workers.enrolment.test_pipeline import fewer
from tests.integration.workers.queries import outcomes
from tests.integration.workers.test_pipeline import plain, stored_sums, training_ids
from workers.resources import Resources, open_resources
from workers.subjects import read_on

TRAINED = 540


def _with(device: torch.device, settings: Settings) -> Settings:
    return settings.model_copy(update={"device": device.type})


@pytest.fixture
def story(settings: Settings, digits: Digits, device: torch.device) -> Iterator[Story]:
    """A fresh start with `digits` enrolled on the GPU."""
    with open_resources(_with(device, settings)) as resources:
        enrol_model(resources, digits.enrolment)
        yield Story(resources)


def _full(resources: Resources) -> tuple[FisherSums, dict[str, Tensor]]:
    """The row of the sums over all training samples, and the sums."""
    with resources.database.reading() as session:
        row = session.scalars(select(FisherSums).where(FisherSums.kind == SumsKind.FULL)).one()
    return row, on_cpu(read_on(Artifact(row.sha256, row.size), resources))


def test_sums_of_an_enrolment_say_where_they_come_from_and_equal_the_cpus_but_for_rounding(
    story: Story, enrolled: Settings, device: torch.device
) -> None:
    row, found = _full(story.resources)
    assert row.provenance["device"] == device.type
    assert row.sample_count == TRAINED
    with open_resources(enrolled) as resources:
        _, expected = _full(resources)
    for name, total in expected.items():
        difference = torch.linalg.vector_norm(found[name] - total)
        assert difference <= 1e-5 * torch.linalg.vector_norm(total), name


def test_enrolling_the_same_twice_gives_the_same_bytes(
    settings: Settings, digits: Digits, device: torch.device, tmp_path: Path
) -> None:
    found = []
    with open_resources(_with(device, settings)) as resources:
        for name in ("one", "two"):
            model = enrol_model(resources, fewer(digits, tmp_path, name))
            with resources.database.reading() as session:
                found.append(
                    session.scalars(
                        select(FisherSums.sha256).where(FisherSums.model_id == model.id)
                    ).one()
                )
    assert found[0] == found[1]


def test_a_run_forgets_a_label_and_publishes(story: Story, digits: Digits) -> None:
    sample_ids = training_ids(digits, 3)
    request = story.forget(sample_ids)
    (run,) = story.runs()
    assert run.failure is None
    assert run.state is RunState.PUBLISHED
    assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: len(sample_ids)}
    assert run.verdict is not None
    figures = run.verdict.figures
    assert figures.base.forgotten.accuracy.value > 0.9
    assert figures.candidate.forgotten.accuracy.value < 0.1
    assert figures.candidate.retained.accuracy.value > 0.9


def test_the_checkpoint_equals_the_plain_formula_but_for_its_last_bit(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 4.0, "lambda": 0.5}, gate=OPEN_GATE)
    sample_ids = training_ids(digits, 3)
    story.forget(sample_ids)
    base, found = story.weights(0), story.weights(1)
    full, forget = stored_sums(story)
    changed = 0
    for name, total in full.items():
        numbers = zip(
            base[name].flatten().tolist(),
            total.flatten().tolist(),
            forget[name].flatten().tolist(),
            strict=True,
        )
        expected = [plain(w, f, g, TRAINED, len(sample_ids)) for w, f, g in numbers]
        # Dividing by a count may round the other way there: see test_dampening.
        torch.testing.assert_close(found[name].flatten(), torch.tensor(expected), rtol=2e-7, atol=0)
        changed += int((found[name] != base[name]).sum())
    assert changed > 0


def test_sums_that_were_enrolled_on_a_cpu_are_refused_on_a_gpu(
    enrolled: Settings, digits: Digits, device: torch.device
) -> None:
    with open_resources(_with(device, enrolled)) as resources:
        story = Story(resources)
        sample_ids = training_ids(digits, 3)
        request = story.forget(sample_ids)
        failures = [run.failure for run in story.runs()]
        assert failures
        for failure in failures:
            assert failure is not None
            assert failure["kind"] == "sums-mismatch"
            assert "differ in device" in failure["detail"]
        # They wait until the network has been enrolled again.
        assert outcomes(story.database, request.id) == {Outcome.PENDING: len(sample_ids)}
        with resources.database.reading() as session:
            assert session.scalars(select(Checkpoint.version)).all() == [0]
