"""Requests that show nothing label by label, and do show something once all are looked at."""

import uuid

import pytest

from app.reviews import approve
from models.documents import Verdict
from models.records import Outcome, RunState, UnlearningRun
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.judging.test_outcomes import decide
from tests.integration.workers.queries import outcomes, sample_row
from tests.integration.workers.test_pipeline import training_ids

# Twenty of each look like unseen samples of their label as far as so few unseen ones can tell.
LABELS = (1, 5, 6, 7)
LOUD = "4 cohorts that show nothing one by one (label 1, label 5, label 6, label 7): all their"


@pytest.fixture(autouse=True)
def _default_policy(story: Story) -> None:
    story.set_policy()


def of_labels(digits: Digits) -> list[str]:
    return [sample for label in LABELS for sample in training_ids(digits, label)[:20]]


def verdict_of(run: UnlearningRun) -> Verdict:
    assert run.verdict is not None
    return run.verdict


def published_short(story: Story, digits: Digits) -> uuid.UUID:
    """A request of them all, with the weights as they were: a person has approved that."""
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    request = story.forget(of_labels(digits)).id
    decide(story, approve, story.runs()[-1].id, 0)
    assert story.runs()[-1].state is RunState.PUBLISHED_SHORT
    story.set_policy()
    return request


def test_what_shows_nothing_label_by_label_is_held_for_what_it_shows_together(
    story: Story, digits: Digits
) -> None:
    request = story.forget(of_labels(digits)).id
    (run,) = story.runs()
    verdict = verdict_of(run)
    assert run.state is RunState.NEEDS_REVIEW
    for cohort in verdict.cohorts:
        assert cohort.base.closeness == cohort.candidate.closeness == "alike"
        assert cohort.gives_away
    (said,) = verdict.reasons
    assert said.startswith(LOUD)
    assert verdict.pool.cohorts == [f"label {label}" for label in LABELS]
    assert verdict.pool.base.closeness == "familiar"
    assert verdict.pool.base.attack.area.count == 80
    # It was searched for something that forgets them, and every rung says how near that came.
    assert len(verdict.ladder) > 1
    assert all(rung.pool.attack.area.count == 80 for rung in verdict.ladder)
    assert outcomes(story.database, request) == {Outcome.PENDING: 80}


def test_one_of_these_labels_by_itself_shows_nothing(story: Story, digits: Digits) -> None:
    story.forget(training_ids(digits, LABELS[0])[:20])
    (run,) = story.runs()
    assert run.state is RunState.NO_DETECTABLE_INFLUENCE
    assert verdict_of(run).pool is None


def test_what_was_published_like_that_is_weakened_and_holds_up_no_other_class(
    story: Story, digits: Digits
) -> None:
    weakened = published_short(story, digits)
    assert outcomes(story.database, weakened) == {Outcome.WEAKENED: 80}
    later = story.forget(training_ids(digits, 3)).id
    latest = story.runs()[-1]
    assert latest.state is RunState.PUBLISHED
    assert outcomes(story.database, later) == {Outcome.FORGOTTEN: 60}
    (said,) = (said for said in verdict_of(latest).remarks if "nothing more of them" in said)
    assert said.startswith(LOUD)
    assert outcomes(story.database, weakened) == {Outcome.WEAKENED: 80}


def test_what_is_added_to_such_labels_is_judged_with_them(story: Story, digits: Digits) -> None:
    published_short(story, digits)
    story.forget(training_ids(digits, 2)[:1])
    latest = story.runs()[-1]
    assert latest.state is RunState.NEEDS_REVIEW
    assert any(said.startswith("5 cohorts that") for said in verdict_of(latest).reasons)


def test_what_was_forgotten_together_stays_so_whatever_is_asked_for_next(
    story: Story, digits: Digits
) -> None:
    # So few digits cannot be forgotten together without harm.
    story.set_policy(gate={f"max_{of}_fall": 1.0 for of in ("retained", "class", "holdout")})
    request = story.forget(of_labels(digits)).id
    first = verdict_of(story.runs()[-1])
    assert story.runs()[-1].state is RunState.PUBLISHED
    assert first.pool.base.closeness == "familiar"
    assert first.pool.candidate.accepted
    assert first.pool.forgotten
    story.forget(training_ids(digits, 3))
    latest = verdict_of(story.runs()[-1])
    assert story.runs()[-1].state is RunState.PUBLISHED
    assert latest.pool.cohorts == first.pool.cohorts
    assert all(rung.pool.accepted for rung in latest.ladder if rung.passes)
    assert latest.pool.forgotten
    assert outcomes(story.database, request) == {Outcome.FORGOTTEN: 80}


def test_by_best_effort_all_of_them_are_published_as_weakened(story: Story, digits: Digits) -> None:
    story.set_policy(gate={"on_shortfall": "best_effort"})
    request = story.forget(of_labels(digits)).id
    assert story.runs()[-1].state is RunState.PUBLISHED_SHORT
    assert outcomes(story.database, request) == {Outcome.WEAKENED: 80}


def test_what_is_weakened_with_others_stays_so_where_too_few_are_left_to_judge_it_by(
    story: Story, digits: Digits
) -> None:
    published_short(story, digits)
    # All but one of the labels are forgotten whole, so the last one is alone.
    gone = [sample for label in LABELS[1:] for sample in digits.of_label(label)]
    story.forget(gone)
    latest = verdict_of(story.runs()[-1])
    assert story.runs()[-1].state is RunState.PUBLISHED
    (alone,) = (each for each in latest.cohorts if each.labels == [LABELS[0]])
    assert latest.pool is None
    assert alone.candidate.closeness == "alike"
    assert alone.gives_away
    # What is gone is forgotten; that nobody is left to judge the last one with is no proof.
    weakened = [sample_row(story.database, training_ids(digits, of)[0]).weakened for of in LABELS]
    assert weakened == [True, False, False, False]
