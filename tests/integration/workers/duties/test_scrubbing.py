"""Reading again what is stored: what is found, kept, said, and cleared."""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from models.artifacts import Artifact
from models.records import ArtifactCheck, AuditRecord, Checkpoint
from models.scrubbing import claim_next, note_new, scrub_everything
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events
from tests.integration.workers.test_steward import stewardship
from workers.duties import scrubbing
from workers.duties.scrubbing import scrub
from workers.duties.stewardship import Stewardship


def checks(story: Story) -> dict[str, ArtifactCheck]:
    with story.database.reading() as session:
        return {row.sha256: row for row in session.scalars(select(ArtifactCheck))}


def faults(story: Story) -> list[str]:
    return [sha256 for sha256, row in checks(story).items() if row.fault]


def head(story: Story) -> Path:
    return story.path(story.model().head_version or 0)


def round_of(held: Stewardship, seconds: float = 60) -> int:
    """A round after so much time."""
    held.memory.earned_at = time.monotonic() - seconds
    return scrub(held)


def let_rest(story: Story, **time_since: float) -> None:
    with story.database.transaction() as session:
        session.execute(
            update(ArtifactCheck).values(checked_at=func.now() - timedelta(**time_since))
        )


def test_all_that_is_needed_is_read_and_then_rests_for_a_day(story: Story, digits: Digits) -> None:
    story.forget(digits.of_label(3))
    held = stewardship(story)
    assert round_of(held) == 5
    assert len(checks(story)) == 5
    assert faults(story) == []
    assert round_of(held) == 0
    let_rest(story, days=2)
    assert round_of(held) == 5


@pytest.mark.parametrize("how", ["flipped", "shorter", "missing", "unreadable"])
def test_a_fault_is_kept_audited_and_logged_without_a_sample_and_cleared_by_repair(
    story: Story, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = head(story)
    content = path.read_bytes()
    if how == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "shorter":
        path.write_bytes(content[:-1])
    elif how == "missing":
        path.unlink()
    else:
        path.unlink()
        path.mkdir()
    held = stewardship(story)
    with caplog.at_level(logging.WARNING):
        round_of(held)
    assert faults(story) == [path.name]
    assert path.name in caplog.text
    assert "person-" not in caplog.text
    assert audit_events(story.database)[-1] == "artifact.damaged"

    # Found again, it is said no more than once.
    let_rest(story, days=2)
    round_of(held)
    assert audit_events(story.database).count("artifact.damaged") == 1

    if how == "unreadable":
        path.rmdir()
    path.write_bytes(content)
    let_rest(story, minutes=2)
    assert round_of(held) == 1
    assert faults(story) == []
    assert audit_events(story.database)[-1] == "artifact.whole_again"
    with story.database.reading() as session:
        last = session.scalars(select(AuditRecord).order_by(AuditRecord.sequence.desc())).first()
    assert last is not None
    assert last.details["sha256"] == path.name


def test_a_round_reads_no_more_than_the_time_since_the_last_allows(story: Story) -> None:
    held = stewardship(story)
    slow = Stewardship(
        held.settings.model_copy(update={"scrub_bytes_per_s": 1000}),
        held.database,
        held.store,
        held.doorbell,
    )
    rounds = 0
    while not round_of(slow, seconds=1):
        rounds += 1
    # A piece is read at once, and paid for by the rounds after it.
    assert rounds >= 1
    assert slow.memory.allowance < 0
    before = slow.memory.allowance
    assert round_of(slow, seconds=1) == 0
    assert slow.memory.allowance == pytest.approx(before + 1000, abs=100)


def test_several_stewards_do_not_read_the_same_artifact(story: Story) -> None:
    with story.database.transaction() as session:
        note_new(session)
    with story.database.transaction() as first, story.database.transaction() as second:
        one, other = claim_next(first), claim_next(second)
    assert one is not None
    assert other is not None
    assert one != other


def test_the_one_nobody_has_looked_at_for_longest_comes_first(story: Story) -> None:
    round_of(stewardship(story))
    names = sorted(checks(story))
    with story.database.transaction() as session:
        for days, name in enumerate(names, start=2):
            session.execute(
                update(ArtifactCheck)
                .where(ArtifactCheck.sha256 == name)
                .values(checked_at=func.now() - timedelta(days=days))
            )
    with story.database.transaction() as session:
        found = claim_next(session)
    assert found is not None
    assert found.sha256 == names[-1]


def test_what_is_needed_no_longer_is_not_missed(story: Story) -> None:
    with story.database.transaction() as session:
        session.add(ArtifactCheck(sha256="ab" * 32, size=1))
    round_of(stewardship(story))
    assert faults(story) == []


def test_a_store_that_is_away_is_not_taken_for_damage(story: Story) -> None:
    root = head(story).parents[2]
    root.rename(root.with_suffix(".away"))
    with pytest.raises(OSError, match="No such file"):
        round_of(stewardship(story))
    root.with_suffix(".away").rename(root)
    assert checks(story) == {}


def test_what_could_not_be_read_for_another_reason_is_not_taken_for_whole(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    head(story).write_bytes(b"damaged")
    held = stewardship(story)
    round_of(held)
    found = faults(story)
    assert len(found) == 1
    let_rest(story, days=2)
    # The machine is out of memory for a while, and the next rounds come.
    with monkeypatch.context() as starved:
        starved.setattr(scrubbing, "read_through", _out_of_memory)
        for _ in range(9):
            with suppress(MemoryError):
                round_of(held)
    assert faults(story) == found
    let_rest(story, days=2)
    assert round_of(held) > 0
    assert faults(story) == found


def _out_of_memory(*_arguments: object) -> Iterator[int]:
    yield 1
    raise MemoryError


def test_everything_at_once_says_what_the_damaged_ones_are_for(
    story: Story, digits: Digits
) -> None:
    story.forget(digits.of_label(3))
    story.path(1).write_bytes(b"")
    held = story.resources
    found = list(scrub_everything(held.database, held.store, "test"))
    assert len(found) == 5
    [damaged] = [each for each in found if each.fault]
    assert damaged.used_for == ["version 1 of 'digits'"]
    assert "0 bytes" in (damaged.fault or "")
    uses = {use for each in found for use in each.used_for}
    assert uses == {
        "version 0 of 'digits'",
        "version 1 of 'digits'",
        "digests of the images of 'digits'",
        "Fisher sums of 'digits' over all samples",
        "Fisher sums of 'digits' over the forgotten samples of label 3",
    }
    with story.database.reading() as session:
        row = session.scalars(select(Checkpoint).where(Checkpoint.version == 1)).one()
    assert damaged.artifact == Artifact(row.sha256, row.size)
