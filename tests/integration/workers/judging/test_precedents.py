"""What the head's verdict binds later runs to: what it has forgotten is not given back."""

import pytest

from app.reviews import approve
from models.errors import RungGivesBack
from models.records import Outcome, RunState, UnlearningRun
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.judging.test_outcomes import decide
from tests.integration.workers.queries import outcomes, sample_row
from tests.integration.workers.test_pipeline import training_ids


@pytest.fixture
def forgotten(story: Story, digits: Digits) -> list[str]:
    """Class 3, of which the head recognises nobody."""
    story.set_policy()
    samples = training_ids(digits, 3)
    story.forget(samples)
    assert story.runs()[-1].state is RunState.PUBLISHED
    return samples


def recognised(run: UnlearningRun, rung: int | None = None) -> float:
    """What a candidate recognises of class 3, or the one that was taken."""
    assert run.verdict is not None
    standing = run.verdict.ladder[run.verdict.rung if rung is None else rung].cohorts["label 3"]
    assert standing.recognised is not None
    assert standing.recognised.value is not None
    return standing.recognised.value


def test_best_effort_for_one_class_gives_no_other_back(
    story: Story, digits: Digits, forgotten: list[str]
) -> None:
    # The caller's α, of which it is told that it holds for every cohort, forgets nothing.
    story.set_policy(method={"method": "fixed", "alpha": 1e9}, gate={"on_shortfall": "best_effort"})
    later = story.forget(training_ids(digits, 5)).id
    run = story.runs()[-1]
    assert run.state is RunState.PUBLISHED_SHORT
    assert recognised(run, 0) > 0.5
    assert recognised(run) == 0.0
    assert outcomes(story.database, later) == {Outcome.WEAKENED: 56}
    assert not sample_row(story.database, forgotten[0]).weakened


def test_a_rung_that_gives_a_class_back_cannot_be_approved(
    story: Story, digits: Digits, forgotten: list[str]
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    later = story.forget(training_ids(digits, 5)).id
    run = story.runs()[-1]
    assert run.state is RunState.NEEDS_REVIEW
    assert run.verdict is not None
    assert [rung.given_back for rung in run.verdict.ladder] == [["label 3"], []]
    with pytest.raises(RungGivesBack, match="label 3"):
        decide(story, approve, run.id, 0)
    decide(story, approve, run.id, 1)
    assert recognised(story.runs()[-1]) == 0.0
    assert outcomes(story.database, later) == {Outcome.WEAKENED: 56}
    assert not sample_row(story.database, forgotten[0]).weakened


def test_what_an_approved_candidate_gives_back_is_found_when_it_is_carried_out_at_the_latest(
    story: Story, digits: Digits, forgotten: list[str]
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    story.forget(training_ids(digits, 5))
    with story.database.transaction() as session:
        run = session.get_one(UnlearningRun, story.runs()[-1].id)
        assert run.verdict is not None
        # As of a run that was judged before anybody looked at that.
        ladder = [rung.model_copy(update={"given_back": []}) for rung in run.verdict.ladder]
        run.verdict = run.verdict.model_copy(update={"ladder": ladder})
    decide(story, approve, run.id, 0)
    outdated = story.runs()[2]
    assert (outdated.failure or {})["kind"] == "review-outdated"
    assert "label 3" in (outdated.failure or {})["detail"]
    assert [row.version for row in story.checkpoints()] == [0, 1]


def test_a_cohort_that_grows_is_judged_for_what_it_is_now(story: Story, digits: Digits) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9}, gate={"on_shortfall": "best_effort"})
    of_class = training_ids(digits, 3)
    story.forget(of_class[:10])
    later = story.forget(of_class[10:]).id
    assert story.runs()[-1].state is RunState.PUBLISHED_SHORT
    assert outcomes(story.database, later) == {Outcome.WEAKENED: len(of_class) - 10}
