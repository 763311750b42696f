"""Labels of which nothing stays: their sums are those that the enrolment has kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import select
from torch import Tensor

from benchmarks.tools.stack import OPEN_GATE
from models.artifacts import Artifact
from models.audit.events import Event
from models.records import AuditRecord, FisherSums, ModelState, Outcome, RunState, SumsKind
from models.references import find_referenced, find_uses
from models.settings import Settings
from tests.conftest import Digits, Servers, enrol_model, isolated, settings_for, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import outcomes
from tests.support.several import LARGE, SMALL, ids_of, several
from workers.enrolment.portions import LEAST
from workers.recompute import recompute
from workers.resources import open_resources
from workers.tensors import read_tensors


@pytest.fixture(scope="session")
def several_template(servers: Servers, digits: Digits) -> str:
    """The name of a database in which they are enrolled."""
    name = "several_template"
    servers.execute(f'CREATE DATABASE "{name}" TEMPLATE migrated')
    folder = servers.folder / "several"
    folder.mkdir()
    with open_resources(settings_for(servers, servers.postgres.url(name))) as resources:
        model = enrol_model(resources, several(digits, folder))
    assert model.state is ModelState.ACTIVE
    return name


@pytest.fixture
def own(servers: Servers, several_template: str) -> Iterator[Settings]:
    """Settings on a copy of that database."""
    yield from isolated(servers, several_template)


@pytest.fixture
def story(own: Settings) -> Iterator[Story]:
    """What happens to it in one test."""
    with open_resources(own) as resources:
        yield Story(resources)


@pytest.fixture
def source(servers: Servers, several_template: str) -> Iterator[Path]:
    """The file of images, put back afterwards."""
    path = servers.folder / several_template.removesuffix("_template") / "several.npz"
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def rows(story: Story, kind: SumsKind) -> dict[int | None, FisherSums]:
    """What is on record, by label."""
    with story.database.reading() as session:
        return {row.label: row for row in session.query(FisherSums).filter_by(kind=kind)}


def read(story: Story, row: FisherSums) -> dict[str, Tensor]:
    """The sums of a row."""
    return read_tensors(story.resources.store.sized_path(Artifact(row.sha256, row.size)))[0]


def test_an_enrolment_keeps_the_sums_of_every_large_label(story: Story, digits: Digits) -> None:
    found = {label: row.sample_count for label, row in rows(story, SumsKind.LABEL).items()}
    counts = {label: len(ids_of(digits, label)) for label in range(10)}
    assert found == {label: count for label, count in counts.items() if label != SMALL}
    assert counts[SMALL] < LEAST <= min(found.values())
    (full,) = rows(story, SumsKind.FULL).values()
    assert full.sample_count == sum(counts.values())


def test_they_and_those_of_the_other_labels_add_up_to_the_sums_of_all(
    story: Story, digits: Digits
) -> None:
    (full,) = rows(story, SumsKind.FULL).values()
    story.forget(ids_of(digits, SMALL))
    others = [*rows(story, SumsKind.LABEL).values(), *rows(story, SumsKind.FORGET).values()]
    all_others = [read(story, row) for row in others]
    for name, expected in read(story, full).items():
        found = torch.stack([sums[name] for sums in all_others]).sum(dim=0)
        assert float((found - expected).abs().max()) <= 1e-6 * float(expected.max()), name


def test_the_sums_of_all_are_those_of_an_enrolment_that_keeps_none_of_labels(
    story: Story, servers: Servers, digits: Digits, tmp_path: Path
) -> None:
    (full,) = rows(story, SumsKind.FULL).values()
    for settings in isolated(servers, "migrated"):
        without = settings.model_copy(update={"label_sums_bytes": 0})
        with open_resources(without) as resources:
            assert enrol_model(resources, several(digits, tmp_path)).state is ModelState.ACTIVE
            other = Story(resources)
            assert rows(other, SumsKind.LABEL) == {}
            (expected,) = rows(other, SumsKind.FULL).values()
            found, sums = read(story, full), read(other, expected)
    for name, total in sums.items():
        assert float((found[name] - total).abs().max()) <= 1e-6 * float(total.abs().max()), name


def test_what_is_kept_of_labels_is_needed_and_says_what_it_is(story: Story) -> None:
    row = rows(story, SumsKind.LABEL)[LARGE]
    with story.database.reading() as session:
        assert Artifact(row.sha256, row.size) in find_referenced(session)
        assert find_uses(session)[row.sha256] == [
            "Fisher sums of 'digits' over the samples of label 3"
        ]


def test_a_label_that_goes_whole_has_the_sums_of_its_enrolment(
    story: Story, digits: Digits
) -> None:
    request = story.forget(ids_of(digits))
    (run,) = story.runs()
    assert run.state is RunState.PUBLISHED
    assert set(outcomes(story.database, request.id)) == {Outcome.FORGOTTEN}
    (forgotten,) = rows(story, SumsKind.FORGET).values()
    kept = rows(story, SumsKind.LABEL)[LARGE]
    assert (forgotten.label, forgotten.sample_count) == (LARGE, len(ids_of(digits)))
    assert (forgotten.sha256, forgotten.size) == (kept.sha256, kept.size)


def test_a_label_of_which_a_sample_stays_is_summed_anew(story: Story, digits: Digits) -> None:
    story.forget(ids_of(digits)[1:])
    forgotten, kept = rows(story, SumsKind.FORGET)[LARGE], rows(story, SumsKind.LABEL)[LARGE]
    assert forgotten.sample_count == kept.sample_count - 1
    assert forgotten.sha256 != kept.sha256
    for name, total in read(story, kept).items():
        assert bool((read(story, forgotten)[name] <= total * (1 + 1e-6)).all())


def test_a_label_that_goes_in_pieces_ends_as_one_that_goes_at_once(
    story: Story, digits: Digits, servers: Servers, several_template: str
) -> None:
    sample_ids = ids_of(digits)
    story.set_policy(gate=OPEN_GATE)
    for piece in (sample_ids[:40], sample_ids[40:200], sample_ids[200:]):
        story.forget(piece)
    for settings in isolated(servers, several_template):
        with open_resources(settings) as resources:
            at_once = Story(resources)
            at_once.set_policy(gate=OPEN_GATE)
            at_once.forget(sample_ids)
            assert at_once.checkpoints()[-1].sha256 == story.checkpoints()[-1].sha256


def test_beside_a_label_that_goes_whole_others_are_summed_as_ever(
    story: Story, digits: Digits
) -> None:
    story.set_policy(gate=OPEN_GATE)
    story.forget([*ids_of(digits), *ids_of(digits, 5)[:60], *ids_of(digits, 7)])
    found, kept = rows(story, SumsKind.FORGET), rows(story, SumsKind.LABEL)
    assert {label: row.sample_count for label, row in found.items()} == {
        3: len(ids_of(digits)),
        5: 60,
        7: len(ids_of(digits, 7)),
    }
    same = {label for label, row in found.items() if row.sha256 == kept[label].sha256}
    assert same == {3, 7}
    came = recompute("digits", story.resources)
    assert came.found == came.published


def test_a_label_that_is_gone_is_left_as_it_is_by_requests_for_others(
    story: Story, digits: Digits
) -> None:
    story.set_policy(gate=OPEN_GATE)
    story.forget(ids_of(digits))
    story.forget(ids_of(digits, 5)[:60])
    versions = {label: row.version for label, row in rows(story, SumsKind.FORGET).items()}
    assert versions == {LARGE: 1, 5: 2}


def test_the_audit_log_says_of_how_many_labels_sums_were_kept(story: Story) -> None:
    with story.database.reading() as session:
        enrolled = session.scalars(
            select(AuditRecord).where(AuditRecord.event == Event.MODEL_ENROLLED)
        ).one()
    assert enrolled.details["labels_with_sums"] == len(rows(story, SumsKind.LABEL))


def test_a_dry_run_of_a_whole_label_predicts_and_keeps_nothing(
    story: Story, digits: Digits
) -> None:
    story.post(ids_of(digits), mode="dry_run")
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.state is RunState.PREDICTED
    assert rows(story, SumsKind.FORGET) == {}
    assert len(story.checkpoints()) == 1


def exchange(source: Path, digits: Digits, *, all_of_them: bool) -> None:
    """Other images in the place of those of the label, or of all."""
    with np.load(source) as file:
        arrays = {key: file[key] for key in file}
    asked = np.isin(arrays["ids"], ids_of(digits))
    arrays["images"][np.full_like(asked, fill_value=True) if all_of_them else asked] = 0.5
    np.savez(source, **arrays)


def test_images_of_a_label_may_be_gone_before_it_is_forgotten_whole(
    story: Story, digits: Digits, source: Path
) -> None:
    story.forget(ids_of(digits))
    expected = rows(story, SumsKind.FORGET)[LARGE].sha256
    assert expected == rows(story, SumsKind.LABEL)[LARGE].sha256
    exchange(source, digits, all_of_them=False)
    request = story.forget(ids_of(digits, 5))
    assert set(outcomes(story.database, request.id)) == {Outcome.FORGOTTEN}


def test_samples_of_a_whole_label_do_not_fail_for_images_that_are_gone(
    story: Story, digits: Digits, source: Path
) -> None:
    exchange(source, digits, all_of_them=False)
    request = story.forget(ids_of(digits))
    (run,) = story.runs()
    assert run.failure is None
    assert set(outcomes(story.database, request.id)) == {Outcome.FORGOTTEN}


def test_a_label_goes_whole_after_another_whose_images_were_deleted(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    # Labels in turns, as in "for image i, for person p": then every k-th sample is of one label.
    enrolment, path = several(digits, tmp_path), tmp_path / "several.npz"
    with np.load(path) as file:
        arrays = {key: file[key] for key in file}
    by_label = [np.flatnonzero(arrays["labels"] == label)[:280] for label in range(10)]
    turns = np.stack([each for each in by_label if len(each) == 280], axis=1).flatten()
    arrays = {key: values[turns] for key, values in arrays.items()}
    arrays["splits"][:] = "train"
    arrays["splits"][-100:] = "holdout"
    np.savez(path, **arrays)

    def ids(label: int) -> list[str]:
        wanted = (arrays["labels"] == label) & (arrays["splits"] == "train")
        return arrays["ids"][wanted].tolist()

    with open_resources(settings) as resources:
        assert enrol_model(resources, enrolment).state is ModelState.ACTIVE
        story = Story(resources)
        first, second = arrays["labels"][:2].tolist()
        assert {first, second} <= set(rows(story, SumsKind.LABEL))
        story.forget(ids(first))
        arrays["images"][arrays["labels"] == first] = 0.5
        np.savez(path, **arrays)
        story.forget(ids(second))
        assert [run.failure for run in story.runs()] == [None, None]
        assert {run.state for run in story.runs()} == {RunState.PUBLISHED}


def test_nothing_is_claimed_of_a_label_of_which_nothing_can_be_looked_at(
    story: Story, digits: Digits, source: Path
) -> None:
    story.set_policy(gate={"min_probe": 20})
    exchange(source, digits, all_of_them=False)
    request = story.forget(ids_of(digits))
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    assert set(outcomes(story.database, request.id)) == {Outcome.PENDING}
    assert run.verdict is not None
    assert run.verdict.outcome == "undecidable"
    assert any("200 forgotten samples could not be looked at" in it for it in run.verdict.remarks)


def test_nothing_is_forgotten_unseen_where_no_image_is_the_one_that_was_enrolled(
    story: Story, digits: Digits, source: Path
) -> None:
    exchange(source, digits, all_of_them=True)
    request = story.post(ids_of(digits))
    work(story.resources.settings.model_copy(update={"retry_s": 60}))
    assert outcomes(story.database, request) == {Outcome.PENDING: len(ids_of(digits))}
    (run,) = story.runs()
    assert (run.failure or {})["kind"] == "dataset-unreadable"
    assert len(story.checkpoints()) == 1
