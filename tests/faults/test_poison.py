"""One sample in ten is poisoned: its image is gone, crashes its decoder, or is not made of numbers.

Every healthy sample is forgotten, by the first run that takes it.
"""

import faulthandler
import io
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from sqlalchemy import select

from models.records import DeletionItem, Outcome
from models.settings import Settings
from tests.conftest import Digits, enrol_model
from tests.integration.workers.conftest import Story
from tests.integration.workers.test_unreadable_samples import COUNT, enrolment_of, folder
from workers.pipeline import unlearn
from workers.resources import open_resources
from workers.transactions.claims import claim

__all__ = ["folder"]


def work_off(story: Story) -> None:
    """Run after run, here, until there is nothing to do."""
    while (run := claim(story.model().id, story.resources)) is not None:
        unlearn(run, story.resources)


def items(story: Story) -> list[DeletionItem]:
    """All of them."""
    with story.database.reading() as session:
        return list(session.scalars(select(DeletionItem)))


def told(story: Story, poisoned: set[str]) -> str:
    """What became of the healthy and of the poisoned."""
    found = items(story)
    healthy = Counter(str(item.outcome) for item in found if item.sample_id not in poisoned)
    others = Counter(str(item.outcome) for item in found if item.sample_id in poisoned)
    most = max(run.attempt for run in story.runs())
    return f"healthy {dict(healthy)}, poisoned {dict(others)}, at most {most} attempts"


def test_files_that_are_gone_or_crash_their_decoder_fail_alone(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_resources(settings) as resources:
        enrol_model(resources, enrolment_of(folder))
        story = Story(resources)
        # Else what has changed since is not even decoded.
        story.drop_digests()
        positions = range(10, COUNT - 10)
        gone = {f"face-{p}" for p in positions if p % 20 == 13}
        crashing = {f"face-{p}" for p in positions if p % 20 == 3}
        for name in gone:
            (folder / f"{name.removeprefix('face-')}.png").unlink()
        for name in crashing:
            (folder / f"{name.removeprefix('face-')}.png").write_bytes(b"crash")
        # The process that reads images is forked from this one, and so is its decoder.
        monkeypatch.setattr(PIL.Image, "open", crash_on(PIL.Image.open, b"crash"))
        story.post([f"face-{p}" for p in positions])
        work_off(story)
        by_name = {item.sample_id: item for item in items(story)}
        print(f"\n{told(story, gone | crashing)}")
        for name, item in by_name.items():
            expected = Outcome.FAILED if name in gone | crashing else Outcome.FORGOTTEN
            assert item.outcome is expected, name
            assert item.attempts == 0
        assert all("crashes its decoder" in (by_name[name].reason or "") for name in crashing)
        assert len(story.runs()) == 1


def test_images_that_are_no_numbers_fail_alone(story: Story, digits: Digits) -> None:
    training = [name for name in digits.sample_ids if int(name.split("-")[1]) % 10]
    poisoned = set(training[5:100:10])
    story.drop_digests()
    path = Path(digits.enrolment.dataset.path)  # type: ignore[union-attr]
    whole = path.read_bytes()
    with np.load(path) as arrays:
        held = dict(arrays)
    for name in poisoned:
        held["images"][int(name.split("-")[1])] = np.nan
    try:
        np.savez(path, **held)
        story.post(training[:100])
        work_off(story)
    finally:
        path.write_bytes(whole)
    print(f"\n{told(story, poisoned)}")
    for item in items(story):
        if item.sample_id in poisoned:
            assert item.outcome is Outcome.FAILED
            assert "NaN" in (item.reason or "")
        else:
            assert item.outcome in (Outcome.FORGOTTEN, Outcome.WEAKENED)
        assert item.attempts == 0


def crash_on(opened: Any, content: bytes) -> Any:
    """A decoder that a certain file brings down, as a fault in a library of C would."""

    def open_or_crash(file: io.BytesIO, *arguments: Any, **options: Any) -> Any:
        if file.getvalue() == content:
            # Its trace would only be in the way of what the test says.
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        return opened(file, *arguments, **options)

    return open_or_crash
