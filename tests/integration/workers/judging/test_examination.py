"""The probe of a run: every candidate sees the same images, however many of them stay in memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.tools.stack import OPEN_GATE
from models.errors import WorkerStopping
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.test_pipeline import training_ids
from workers.bookkeeping import keeping_books
from workers.datasets import Dataset
from workers.datasets.isolation import Readable
from workers.judging import candidates
from workers.judging.candidates import CohortSums
from workers.judging.examination import Examiner
from workers.runs import Run
from workers.subjects import Subject
from workers.unlearning.importances import BATCH
from workers.unlearning.probing.observation import Observed

# Bytes of a batch of digits, which are 8 x 8 in one channel.
OF_A_BATCH = BATCH * 8 * 8 * 4


@dataclass(frozen=True)
class Examined:
    """The examiner that a run has made, and the images that have been read."""

    examiner: Examiner
    subject: Subject
    read: list[int]

    def look(self, at: Collection[int] | None = None) -> tuple[Observed, list[int]]:
        """What the base makes of the probe, and what was read for that."""
        self.read.clear()
        return self.examiner.look(self.subject.base, at), sorted(self.read)


def examined(
    story: Story,
    digits: Digits,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    *,
    starved: int = 0,
    asked: Sequence[str] = (),
) -> Examined:
    """By a run with room for so many bytes of images, as if so many had died of hunger before."""
    made: list[tuple[Examiner, Subject]] = []
    read: list[int] = []
    load = Dataset.load_readable

    def note(dataset: Dataset, positions: Sequence[int]) -> Readable:
        read.extend(positions)
        return load(dataset, positions)

    def examiner(run: Run, subject: Subject, *others: Any) -> Examiner:
        made.append((Examiner(replace(run, starved=starved), subject, *others), subject))
        return made[-1][0]

    monkeypatch.setattr(Dataset, "load_readable", note)
    monkeypatch.setattr(candidates, "Examiner", examiner)
    settings = story.resources.settings.model_copy(update={"probe_bytes": room})
    story.resources = replace(story.resources, settings=settings)
    story.forget(asked or digits.of_label(3)[:9])
    ((one, subject),) = made
    return Examined(one, subject, read)


def require_equal(found: Observed, expected: Observed) -> None:
    """The same samples in the same order; losses but for rounding."""
    for name, values in vars(expected).items():
        np.testing.assert_allclose(vars(found)[name], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("room", "batches"),
    [(0, 0), (OF_A_BATCH - 1, 0), (OF_A_BATCH, 1), (2 * OF_A_BATCH + 1, 2), (1 << 30, 1000)],
)
def test_what_stays_in_memory_is_not_read_again_and_makes_no_difference(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch, room: int, batches: int
) -> None:
    of_run = examined(story, digits, monkeypatch, room)
    whole, read = of_run.look()
    positions = whole.positions.tolist()
    assert len(positions) > 3 * BATCH
    not_kept = positions[BATCH * batches :]
    assert read == not_kept

    some = set(positions[::7])
    seen, read = of_run.look(some)
    require_equal(seen, whole.at(some))
    assert read == [position for position in not_kept if position in some]

    of_run.read.clear()
    forgotten = [
        position
        for batch in of_run.examiner.of_forgotten()
        for position in batch.positions.tolist()
    ]
    assert forgotten == sorted(
        position for each in of_run.examiner.probe.forgotten.values() for position in each
    )
    assert sorted(of_run.read) == [position for position in not_kept if position in forgotten]


def test_of_more_labels_than_share_a_probe_each_has_as_many_samples_as_decide(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten would have 20 each of what four have of 50.
    story.set_policy(gate={**OPEN_GATE, "min_probe": 35}, probe_size=50)
    asked = [name for label in range(10) for name in training_ids(digits, label)[:40]]
    of_run = examined(story, digits, monkeypatch, 1 << 30, asked=asked)
    looked_at = {
        cohort.labels: len(positions)
        for cohort, positions in of_run.examiner.probe.forgotten.items()
    }
    assert looked_at == {(label,): 35 for label in range(10)}


def test_before_a_label_is_read_a_run_can_be_stopped(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise WorkerStopping("The worker is stopping.")

    of_run = examined(story, digits, monkeypatch, 1 << 30)
    (cohort,) = of_run.examiner.cohorts
    with (
        keeping_books(of_run.subject, story.resources, halvings=0) as books,
        pytest.raises(WorkerStopping),
    ):
        CohortSums(books, stop)(cohort)


def test_a_run_whose_memory_was_not_enough_keeps_fewer_images(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_run = examined(story, digits, monkeypatch, 4 * OF_A_BATCH, starved=1)
    whole, read = of_run.look()
    assert read == whole.positions.tolist()[2 * BATCH :]
