"""A published checkpoint computed anew from the artifacts alone, and what it finds."""

import pytest

from benchmarks.tools.stack import OPEN_GATE
from models.artifacts import Artifact
from models.errors import ArtifactDamaged, NothingToRecompute, UnknownModel
from models.records import FisherSums, SumsKind
from tests.integration.workers.conftest import Story
from workers import streaming
from workers.recompute import recompute


def of_label(story: Story, label: int, count: int) -> list[str]:
    with story.database.reading() as session:
        from models.records import Sample

        rows = session.query(Sample).filter_by(label=label, split="train").order_by(Sample.position)
        return [row.sample_id for row in rows.limit(count)]


@pytest.mark.parametrize("piece", [7, 1 << 19])
def test_several_cohorts_and_versions_come_out_byte_by_byte(
    story: Story, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PIECE", piece)
    story.set_policy(gate=OPEN_GATE)
    # A label whole, a part of another that stands alone, and some that are scattered.
    story.forget([*of_label(story, 3, 1000), *of_label(story, 4, 60)])
    for samples in (of_label(story, 5, 3), of_label(story, 6, 2)):
        story.forget(samples)
        came = recompute("digits", story.resources)
        assert came.found == came.published
    assert came.version == len(story.checkpoints()) - 1 == 3
    last = story.runs()[-1]
    assert last.verdict is not None
    assert [cohort.labels for cohort in last.verdict.cohorts] == [[3], [4], [5, 6]]


def test_the_base_is_not_computed_from_anything(story: Story) -> None:
    with pytest.raises(NothingToRecompute):
        recompute("digits", story.resources)
    with pytest.raises(UnknownModel):
        recompute("nobody", story.resources)


# In the last number; in the header's length, in small and large; in the header.
@pytest.mark.parametrize("offset", [-1, 0, 5, 8, 60, 200, 300])
@pytest.mark.parametrize("kind", ["base", "full", "forget"])
def test_a_bit_that_flipped_in_what_it_is_computed_from_is_found(
    story: Story, kind: str, offset: int
) -> None:
    story.set_policy(gate=OPEN_GATE)
    story.forget(of_label(story, 3, 40))
    if kind == "base":
        path = story.path(0)
    else:
        with story.database.reading() as session:
            row = session.query(FisherSums).filter_by(kind=SumsKind(kind)).one()
            path = story.resources.store.sized_path(Artifact(row.sha256, row.size))
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    try:
        with pytest.raises(ArtifactDamaged):
            recompute("digits", story.resources)
    finally:
        content[offset] ^= 1
        path.write_bytes(content)


def test_a_setting_on_record_that_was_changed_is_found(story: Story) -> None:
    story.set_policy(gate=OPEN_GATE)
    story.forget(of_label(story, 3, 1000))
    with story.database.transaction() as session:
        run = session.merge(story.runs()[-1])
        assert run.verdict is not None
        cohorts = [
            cohort.model_copy(update={"strength": cohort.strength / 2})
            for cohort in run.verdict.cohorts
        ]
        run.verdict = run.verdict.model_copy(update={"cohorts": cohorts})
    came = recompute("digits", story.resources)
    assert came.found != came.published
