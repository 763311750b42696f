"""Items of runs that broke: how the one that does it is found, and what is held against none."""

import uuid
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from app.reviews import approve
from models.records import DeletionItem, Outcome, RegisteredModel, RunState
from tests.conftest import Digits
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.transactions.test_claims import FAILURE, claimed, expire
from workers import pipeline
from workers.resources import Resources
from workers.transactions.breakdowns import give_up
from workers.transactions.claims import claim
from workers.transactions.releases import LOSSES_THAT_TELL, Cause


def items(story: Story) -> dict[str, DeletionItem]:
    """All items by sample ID."""
    with story.database.reading() as session:
        return {item.sample_id: item for item in session.scalars(select(DeletionItem))}


def work_off(story: Story, poison: set[str]) -> list[list[str]]:
    """Run after run, each broken if it holds a poisoned sample; the samples of each."""
    taken = []
    while (run := claim(story.model().id, story.resources)) is not None:
        taken.append([sample.sample_id for sample in run.samples])
        if poison & set(taken[-1]):
            give_up(run, story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
        else:
            pipeline.unlearn(run, story.resources)
    return taken


def test_the_one_item_that_breaks_every_run_is_found_and_the_others_are_forgotten(
    story: Story, digits: Digits
) -> None:
    samples = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10][:8]
    request_id = story.post(samples)
    taken = work_off(story, {samples[5]})
    assert outcomes(story.database, request_id) == {
        Outcome.FORGOTTEN: 7,
        Outcome.QUARANTINED: 1,
    }
    poisoned = items(story)[samples[5]]
    assert poisoned.outcome is Outcome.QUARANTINED
    assert "Every run that took it broke" in (poisoned.reason or "")
    # Three times all of them; then halves, quarters and it alone, and each time the other part.
    assert [len(batch) for batch in taken[:3]] == [8, 8, 8]
    assert sorted(len(batch) for batch in taken[3:]) == [1, 1, 1, 1, 2, 2, 4, 4]
    assert taken.count([samples[5]]) == 3
    assert "item.quarantined" in audit_events(story.database)
    with story.database.reading() as session:
        # The other half came through after those three; the poisoned one had three alone.
        assert session.scalars(select(DeletionItem.attempts)).all().count(3) == 4 + 1


def test_what_accidents_have_left_alone_is_not_quarantined_for_one_or_two_more(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[1:4])
    accidents = Counter[str]()
    while (run := claim(story.model().id, story.resources)) is not None:
        first, *others = [sample.sample_id for sample in run.samples]
        if others or accidents[first] < 2:
            give_up(run, story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
            accidents[first] += not others
        else:
            pipeline.unlearn(run, story.resources)
    assert list(accidents.values()) == [2, 2, 2]
    assert outcomes(story.database, request_id) == {Outcome.FORGOTTEN: 3}


@pytest.mark.parametrize("count", [2, 5])
def test_several_poisoned_items_are_all_found(story: Story, digits: Digits, count: int) -> None:
    samples = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10][:9]
    request_id = story.post(samples)
    poison = set(samples[::2][:count])
    work_off(story, poison)
    assert outcomes(story.database, request_id) == {
        Outcome.FORGOTTEN: 9 - count,
        Outcome.QUARANTINED: count,
    }
    assert {
        name for name, item in items(story).items() if item.suspects and item.run_id is None
    } == (set())


def test_new_requests_neither_join_the_suspects_nor_keep_them_waiting(
    story: Story, digits: Digits
) -> None:
    suspected = digits.of_label(3)[1:5]
    story.post(suspected)
    for _ in range(3):
        give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    taken = []
    for label in (5, 6, 7):
        # However many come, there is always one more waiting.
        story.post(digits.of_label(label)[1:3])
        run = claimed(story, story.resources)
        taken.append({sample.sample_id for sample in run.samples})
        pipeline.unlearn(run, story.resources)
    assert taken[0] | taken[2] == set(suspected)
    assert taken[1] == {*digits.of_label(5)[1:3], *digits.of_label(6)[1:3]}


def test_items_whose_review_can_be_given_no_more_are_taken_up_again(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "adaptive"}, gate={"max_retained_fall": 0.0})
    held = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10][:-10]
    story.post(held)
    pipeline.unlearn(claimed(story, story.resources), story.resources)
    assert story.runs()[-1].state is RunState.NEEDS_REVIEW
    assert claim(story.model().id, story.resources) is None
    with story.database.transaction() as session:
        # As if another run, which has not taken them along, had published.
        session.execute(update(RegisteredModel).values(head_version=1))
    again = claimed(story, story.resources)
    assert {sample.sample_id for sample in again.samples} == set(held)


def test_a_sample_that_two_requests_ask_for_is_one_suspect(story: Story, digits: Digits) -> None:
    (sample,) = digits.of_label(3)[1:2]
    requests = [story.post([sample]), story.post([sample])]
    for _ in range(3):
        give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    for request_id in requests:
        assert outcomes(story.database, request_id) == {Outcome.QUARANTINED: 1}
    assert items(story)[sample].settled_at is not None
    assert audit_events(story.database)[-2:] == ["item.quarantined", "run.failed"]
    assert claim(story.model().id, story.resources) is None


def test_suspects_that_two_requests_ask_for_are_divided_sample_by_sample(
    story: Story, digits: Digits
) -> None:
    samples = digits.of_label(3)[1:4]
    requests = [story.post(samples), story.post(samples)]
    for _ in range(3):
        give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    groups: dict[uuid.UUID | None, list[tuple[uuid.UUID, str]]] = defaultdict(list)
    with story.database.reading() as session:
        for item in session.scalars(select(DeletionItem)):
            groups[item.suspects].append((item.request_id, item.sample_id))
    assert sorted(len(group) for group in groups.values()) == [2, 4]
    for group in groups.values():
        part = {sample for _, sample in group}
        assert sorted(group) == sorted((of, sample) for of in requests for sample in part)


def test_suspects_need_not_rest_before_they_are_tried_in_halves(
    story: Story, digits: Digits
) -> None:
    resources = replace(
        story.resources, settings=story.resources.settings.model_copy(update={"retry_s": 30})
    )
    story.post(digits.of_label(3)[1:5])
    for _ in range(3):
        set_items(story, retry_at=None)
        give_up(claimed(story, resources), resources, FAILURE, {}, Cause.ITS_SAMPLES)
    assert len(claimed(story, resources).samples) == 2


def test_failures_of_the_surroundings_are_never_held_against_an_item(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    for _ in range(12):
        run = claimed(story, story.resources)
        give_up(run, story.resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}
    assert {(item.attempts, item.blame) for item in items(story).values()} == {(12, 0)}


def test_suspects_whose_disk_fails_or_whose_worker_is_lost_are_not_divided_for_that(
    story: Story, digits: Digits
) -> None:
    samples = digits.of_label(3)[1:5]
    request_id = story.post(samples)
    for _ in range(3):
        give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    groups = {item.suspects for item in items(story).values()}
    assert len(groups) == 2
    for _ in range(3):
        run = claimed(story, story.resources)
        give_up(run, story.resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)
        claimed(story, story.resources)
        expire(story)
    assert claimed(story, story.resources)
    assert {item.suspects for item in items(story).values()} == groups
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}


def test_one_sample_alone_is_not_quarantined_for_a_full_disk(story: Story, digits: Digits) -> None:
    request_id = story.post(digits.of_label(3)[1:2])
    causes = [Cause.ITS_SAMPLES] * 2 + [Cause.ITS_SURROUNDINGS] * 3
    for cause in causes:
        give_up(claimed(story, story.resources), story.resources, FAILURE, {}, cause)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 1}
    give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 1}
    give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    assert outcomes(story.database, request_id) == {Outcome.QUARANTINED: 1}


def test_who_was_suspected_in_company_and_left_alone_by_it_begins_afresh(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[1:2])
    set_items(story, blame=3, suspects=uuid.uuid4())
    for _ in range(3):
        give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
        assert outcomes(story.database, request_id) == {Outcome.PENDING: 1}
    give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    assert outcomes(story.database, request_id) == {Outcome.QUARANTINED: 1}


def test_many_failures_of_the_surroundings_do_not_make_one_lost_worker_tell(
    story: Story, digits: Digits
) -> None:
    story.post(digits.of_label(3)[1:3])
    set_items(story, attempts=20)
    claimed(story, story.resources)
    expire(story)
    # At once, and nothing is held against them.
    assert claimed(story, story.resources)
    assert {(item.losses, item.blame) for item in items(story).values()} == {(1, 0)}


def test_suspects_of_an_approved_run_are_approved_no_more(story: Story, digits: Digits) -> None:
    story.set_policy(method={"method": "adaptive"}, gate={"max_retained_fall": 0.0})
    samples = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10][:-10]
    story.post(samples)
    pipeline.unlearn(claimed(story, story.resources), story.resources)
    held = story.runs()[0]
    assert held.state is RunState.NEEDS_REVIEW
    with story.database.transaction() as session:
        approve(session, held.id, 0, "admin")
    for _ in range(2):
        run = claimed(story, story.resources)
        assert run.approval is not None
        give_up(run, story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    give_up(claimed(story, story.resources), story.resources, FAILURE, {}, Cause.ITS_SAMPLES)
    run = claimed(story, story.resources)
    assert run.approval is None
    assert len(run.samples) == (len(samples) + 1) // 2


def pause(story: Story) -> int:
    """For how many seconds the only item rests after its last run."""
    (item,) = items(story).values()
    ended = story.runs()[-1].finished_at
    assert item.retry_at is not None
    assert ended is not None
    return round((item.retry_at - ended).total_seconds())


def patient(story: Story) -> Resources:
    """What a worker has after whose first failure items rest for half a minute."""
    settings = story.resources.settings.model_copy(update={"retry_s": 30})
    return replace(story.resources, settings=settings)


def test_items_rest_longer_with_every_failure_and_an_hour_at_most(
    story: Story, digits: Digits
) -> None:
    resources = patient(story)
    story.post(digits.of_label(3)[:1])
    pauses = []
    for _ in range(9):
        run = claimed(story, resources)
        give_up(run, resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)
        assert claim(story.model().id, resources) is None
        pauses.append(pause(story))
        set_items(story, retry_at=None)
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_what_has_failed_for_months_rests_an_hour_like_any_other(
    story: Story, digits: Digits
) -> None:
    resources = patient(story)
    story.post(digits.of_label(3)[:1])
    # Two to that power is no number that PostgreSQL has.
    set_items(story, attempts=2000)
    give_up(claimed(story, resources), resources, FAILURE, {}, Cause.ITS_SURROUNDINGS)
    assert pause(story) == 3600


def test_lost_workers_say_nothing_about_their_items_until_there_are_many(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(3)[:4])
    for _ in range(LOSSES_THAT_TELL):
        claimed(story, story.resources)
        expire(story)
    assert claimed(story, story.resources)
    assert {(item.losses, item.blame) for item in items(story).values()} == {(10, 0)}
    expire(story)
    assert claimed(story, story.resources)
    assert {(item.losses, item.blame) for item in items(story).values()} == {(11, 1)}
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 4}


def test_a_group_that_comes_through_and_waits_for_a_review_is_suspected_no_more(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "adaptive"}, gate={"max_retained_fall": 0.0})
    samples = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10][:-10]
    story.post(samples)
    work_off(story, {samples[0]})
    held = [run for run in story.runs() if run.state is RunState.NEEDS_REVIEW]
    waiting = [item for item in items(story).values() if item.outcome is Outcome.PENDING]
    assert held
    assert waiting
    assert {(item.suspects, item.blame) for item in waiting} == {(None, 0)}


def set_items(story: Story, **values: Any) -> None:
    """As if time had passed."""
    with story.database.transaction() as session:
        session.execute(update(DeletionItem).values(**values))
