"""What the gate makes of a run, and what follows for its items, its samples and the model."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from app.reviews import approve, reject
from app.withdrawals import withdraw
from models.advice import is_retraining_advised
from models.doorbell import Job
from models.errors import ForgetsTooMuch, NothingRetained, RunNotHeld, UnknownRung
from models.policies import change_policy
from models.records import (
    DeletionItem,
    DeletionRequest,
    Outcome,
    RunReport,
    RunState,
    Sample,
    Split,
    UnlearningRun,
)
from models.registry import find_model
from models.specifications import Enrolment, Method
from tests.conftest import SMALL_GATE, Digits, enrol_model, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events, outcomes, sample_row
from tests.integration.workers.test_pipeline import training_ids
from workers.unlearning.methods import METHODS
from workers.unlearning.probing import probe
from workers.unlearning.searching.workbench import Workbench
from workers.unlearning.tuning import Setting


@pytest.fixture(autouse=True)
def _default_policy(story: Story) -> None:
    story.set_policy()


def held(story: Story, digits: Digits) -> tuple[uuid.UUID, UnlearningRun]:
    """A request of a class whose run waits for a review, because the policy allows no α."""
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    request_id = story.forget(training_ids(digits, 3)).id
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    return request_id, run


def decide(story: Story, act: Any, *arguments: Any) -> None:
    """What the gateway does with a decision."""
    with story.database.transaction() as session:
        act(session, *arguments, "admin")
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(story.resources.settings)


def test_a_class_that_is_forgotten_is_published_with_every_rung_on_record(
    story: Story, digits: Digits
) -> None:
    story.forget(training_ids(digits, 3))
    (run,) = story.runs()
    assert run.state is RunState.PUBLISHED
    assert run.verdict is not None
    ladder = run.verdict.ladder
    chosen = ladder[run.verdict.rung]
    assert chosen.passes
    # Nothing is left and nothing lost.
    assert chosen.cohorts["label 3"].recognised.value == 0.0
    for fall in (chosen.retained, chosen.holdout_of_retained_labels):
        assert fall.base - fall.candidate <= 0.005
    for rung in ladder:
        assert rung.passes or rung.damage or rung.shortfalls or rung.undecided
    (cohort,) = run.verdict.cohorts
    assert cohort.rule == "chance"
    assert cohort.base.closeness == "familiar"
    assert cohort.candidate.closeness == "alike"
    # The first that passes knows the class below the last layer, and that could be had for nothing.
    below = [rung.last_layer_restored["label 3"].value for rung in ladder]
    first = next(i for i, rung in enumerate(ladder) if rung.passes)
    assert first < run.verdict.rung
    assert below[first] > below[run.verdict.rung] == 0.0
    assert cohort.last_layer_restored.value == 0.0
    # What the attack sees of a label that is gone decides nothing, and is said if it sees anything.
    area = cohort.candidate.attack.area
    told_apart = not area.low <= 0.5 <= area.high
    assert ["decides nothing" in said for said in run.verdict.remarks] == [True] * told_apart


def test_what_a_part_of_the_probe_rules_out_is_on_record_as_that_and_never_taken(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_nothing_to_the_seed(_method: Method, bench: Workbench) -> None:
        for selection in (1e9, None):
            bench.attempt(
                {each: Setting(selection or bench.seed(each), 1.0) for each in bench.cohorts}
            )

    # The probe of digits is small, and would be looked at whole.
    monkeypatch.setattr(probe, "LEAST", 1)
    monkeypatch.setitem(METHODS, "adaptive", from_nothing_to_the_seed)
    story.set_policy(method={"method": "adaptive"})
    story.forget(training_ids(digits, 3))
    (run,) = story.runs()
    assert run.state is RunState.PUBLISHED
    assert run.verdict is not None
    in_part, whole = run.verdict.ladder
    assert (in_part.at_a_glance, whole.at_a_glance) == (True, False)
    assert run.verdict.rung == 1
    assert whole.retained.count == run.verdict.figures.candidate.retained.accuracy.count
    assert in_part.retained.count <= whole.retained.count / 2
    assert whole.cohorts["label 3"].accuracy.count == len(training_ids(digits, 3))
    assert in_part.cohorts["label 3"].accuracy is None
    assert in_part.last_layer_restored == {}
    assert not in_part.passes


def test_what_nothing_passes_is_shown_by_all_of_the_probe(
    story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LEAST", 1)
    _, run = held(story, digits)
    assert run.verdict is not None
    (rung,) = run.verdict.ladder
    assert not rung.at_a_glance
    figures = run.verdict.figures.candidate
    assert rung.retained.count == figures.retained.accuracy.count
    assert rung.cohorts["label 3"].recognised.value > 0.5


def test_what_fall_of_a_label_could_be_told_is_said_where_the_probe_has_few_of_each(
    story: Story, digits: Digits
) -> None:
    said = []
    for label, probe_size in ((3, 200), (4, 400)):
        story.set_policy(
            probe_size=probe_size, method={"method": "adaptive"}, gate={"min_probe": 30}
        )
        story.forget(training_ids(digits, label))
        verdict = story.runs()[-1].verdict
        assert verdict is not None
        said.append([remark for remark in verdict.remarks if "can be told from chance" in remark])
    (few,), enough = said
    assert few.startswith("Of 9 of 9 labels only a fall of ")
    assert not enough


def test_a_setting_that_selects_nothing_is_not_said_to_have_dampened_anything(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e300})
    story.forget(training_ids(digits, 3)[:2])
    (run,) = story.runs()
    assert run.verdict is not None
    assert run.verdict.weights.dampened == 0
    assert "With this setting no weight is selected: the weights stay those of the base." in (
        run.verdict.remarks
    )
    assert not any("as a precaution" in remark for remark in run.verdict.remarks)


@pytest.mark.parametrize(("probe_size", "untold"), [(10, True), (200, False)])
def test_labels_of_which_the_probe_has_too_few_to_see_a_fall_are_counted(
    story: Story, digits: Digits, probe_size: int, untold: bool
) -> None:
    story.set_policy(probe_size=probe_size, method={"method": "adaptive"})
    story.forget(training_ids(digits, 3))
    (run,) = story.runs()
    assert run.verdict is not None
    said = [remark for remark in run.verdict.remarks if "no fall can be told" in remark]
    assert bool(said) == untold
    if untold:
        assert said[0].startswith("Of 9 of 9 labels no fall can be told")


def test_a_label_of_which_next_to_nothing_stays_is_judged_as_if_it_were_gone(
    story: Story, digits: Digits
) -> None:
    asked = training_ids(digits, 3)
    story.forget(asked[:-3])
    (run,) = story.runs()
    assert run.state is RunState.PUBLISHED
    assert run.verdict is not None
    (cohort,) = run.verdict.cohorts
    assert (cohort.samples, cohort.rule) == (len(asked) - 3, "chance")
    assert cohort.candidate.recognised.value == 0.0
    (said,) = (remark for remark in run.verdict.remarks if "that stay" in remark)
    assert "label 3 that stay: 3." in said


def test_later_runs_look_at_earlier_forgotten_samples_again_label_by_label(
    story: Story, digits: Digits
) -> None:
    story.forget(training_ids(digits, 3))
    story.forget(training_ids(digits, 5)[:2])
    latest = story.runs()[-1]
    assert latest.item_count == 2
    assert latest.verdict is not None
    for figures in (latest.verdict.figures.base, latest.verdict.figures.candidate):
        assert figures.forgotten.accuracy.count == 60 + 2
        of_earlier = figures.by_label[3]
        assert of_earlier.forgotten.accuracy.count == 60
        assert of_earlier.forgotten.loss.value >= 0
        assert (of_earlier.retained.accuracy, of_earlier.retained.loss) == (None, None)
        assert of_earlier.loss_attack.area.count == 60


def test_a_model_that_is_enrolled_label_free_is_dampened_by_label_free_sums(
    story: Story, digits: Digits
) -> None:
    body = digits.enrolment.model_dump(mode="json", by_alias=True)
    policy = {"method": {"method": "label_free"}, "gate": SMALL_GATE, "probe_size": 200}
    with pytest.raises(ValidationError, match="label_free"):
        Enrolment.model_validate({**body, "estimator": {"kind": "predictive"}, "policy": policy})
    enrolment = Enrolment.model_validate(
        {**body, "name": "free", "estimator": {"kind": "label_free"}, "policy": policy}
    )
    enrol_model(story.resources, enrolment)
    request_id = story.post(training_ids(digits, 3), model="free")
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.failure is None
    assert run.verdict is not None
    assert run.verdict.policy.method.method == "label_free"
    assert len(run.verdict.ladder) == 1
    assert run.verdict.weights.dampened > 0
    assert sum(outcomes(story.database, request_id).values()) == 60


def test_what_is_not_forgotten_is_held_and_nothing_is_published(
    story: Story, digits: Digits
) -> None:
    request_id, run = held(story, digits)
    assert run.verdict is not None
    assert run.verdict.outcome == "needs_review"
    assert "still recognised" in run.verdict.reasons[0]
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 54 + 6}
    assert [row.version for row in story.checkpoints()] == [0]


def test_an_approved_rung_is_published_short_and_its_samples_are_weakened(
    story: Story, digits: Digits
) -> None:
    request_id, run = held(story, digits)
    decide(story, approve, run.id, 0)
    first, second = story.runs()
    assert first.state is RunState.APPROVED
    assert first.review == {"by": "admin", "rung": 0}
    assert second.state is RunState.PUBLISHED_SHORT
    assert second.carries_out == first.id
    assert second.verdict is not None
    assert second.verdict.cohorts[0].selection == 1e9
    assert outcomes(story.database, request_id) == {Outcome.WEAKENED: 60}
    row = sample_row(story.database, training_ids(digits, 3)[0])
    assert row.weakened
    assert [each.weakened_count for each in story.checkpoints()] == [0, 60]
    assert row.forgotten_version == 1
    again = story.forget(training_ids(digits, 3)[:2])
    assert outcomes(story.database, again.id) == {Outcome.WEAKENED: 2}
    events = audit_events(story.database)
    assert "run.approved" in events
    assert events[-2] == "checkpoint.published"


def test_samples_that_were_weakened_are_forgotten_once_a_later_version_passes(
    story: Story, digits: Digits
) -> None:
    _, run = held(story, digits)
    decide(story, approve, run.id, 0)
    story.set_policy()
    story.forget(training_ids(digits, 5)[:1])
    # Of the one new sample nothing can be told, and it is said; of the sixty before it can.
    latest = story.runs()[-1]
    assert latest.state is RunState.NO_DETECTABLE_INFLUENCE
    assert latest.verdict is not None
    assert any("next to nothing can be told" in said for said in latest.verdict.remarks)
    assert not sample_row(story.database, training_ids(digits, 3)[0]).weakened
    assert story.checkpoints()[-1].weakened_count == 0


def test_what_stays_weakened_for_want_of_proof_is_counted_with_every_later_version(
    story: Story, digits: Digits
) -> None:
    few = training_ids(digits, 5)[:2]
    # Of so few nothing can be told, and somebody has them published all the same.
    story.set_policy(gate={"min_probe": 200})
    story.forget(few)
    decide(story, approve, story.runs()[0].id, 0)
    story.set_policy()
    story.forget(training_ids(digits, 7)[:1])
    latest = story.runs()[-1]
    assert latest.state is RunState.NO_DETECTABLE_INFLUENCE
    assert latest.verdict is not None
    assert not any(cohort.gives_away for cohort in latest.verdict.cohorts)
    assert sample_row(story.database, few[0]).weakened
    assert [each.weakened_count for each in story.checkpoints()] == [0, 2, 2]


def test_best_effort_publishes_what_comes_nearest_and_says_that_it_is_short(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9}, gate={"on_shortfall": "best_effort"})
    request_id = story.forget(training_ids(digits, 3)).id
    (run,) = story.runs()
    assert run.state is RunState.PUBLISHED_SHORT
    assert outcomes(story.database, request_id) == {Outcome.WEAKENED: 60}


def test_a_rejected_run_settles_its_items_and_frees_the_way(story: Story, digits: Digits) -> None:
    request_id, run = held(story, digits)
    decide(story, reject, run.id, "we retrain next week")
    assert story.runs()[0].state is RunState.REJECTED
    assert outcomes(story.database, request_id) == {Outcome.REJECTED: 60}
    assert not sample_row(story.database, training_ids(digits, 3)[0]).forgotten_version
    # Later requests do not drag it along.
    story.set_policy()
    story.forget(training_ids(digits, 5)[:1])
    assert story.runs()[-1].item_count == 1


def test_only_what_waits_can_be_decided_and_only_once(story: Story, digits: Digits) -> None:
    _, run = held(story, digits)
    with pytest.raises(UnknownRung, match="from 0 to 0"):
        decide(story, approve, run.id, 1)
    decide(story, approve, run.id, 0)
    for act, argument in ((approve, 0), (reject, "too late")):
        with pytest.raises(RunNotHeld):
            decide(story, act, run.id, argument)


def test_a_run_whose_items_another_run_has_taken_along_can_no_longer_be_decided(
    story: Story, digits: Digits
) -> None:
    _, run = held(story, digits)
    story.forget(training_ids(digits, 5))
    _, alone, latest = story.runs()
    assert (alone.item_count, alone.state) == (56, RunState.NEEDS_REVIEW)
    assert (latest.item_count, latest.state) == (60 + 56, RunState.NEEDS_REVIEW)
    with pytest.raises(RunNotHeld, match="latest"):
        decide(story, approve, run.id, 0)
    decide(story, approve, latest.id, 0)
    assert story.runs()[-1].carries_out == latest.id


def test_what_passes_by_itself_does_not_wait_for_what_does_not(
    story: Story, digits: Digits
) -> None:
    waiting, run = held(story, digits)
    new = story.forget(training_ids(digits, 5)[:1]).id
    first, alone, again = story.runs()
    assert first.id == run.id
    assert (alone.item_count, alone.state) == (1, RunState.NO_DETECTABLE_INFLUENCE)
    assert outcomes(story.database, new) == {Outcome.FORGOTTEN: 1}
    # What was to be decided was on another head; it is judged again, and waits again.
    assert (again.item_count, again.state) == (60, RunState.NEEDS_REVIEW)
    assert again.parent_version == alone.version == 1
    assert outcomes(story.database, waiting) == {Outcome.PENDING: 60}


def test_what_waits_and_is_more_than_one_run_takes_stays_apart(
    story: Story, digits: Digits
) -> None:
    held(story, digits)
    settings = story.resources.settings.model_copy(update={"max_items_per_run": 100})
    story.post(training_ids(digits, 5))
    work(settings)
    assert [run.item_count for run in story.runs()] == [60, 56]
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(settings)
    assert len(story.runs()) == 2


def test_what_comes_while_others_are_to_be_judged_again_is_tried_by_itself(
    story: Story, digits: Digits
) -> None:
    held(story, digits)
    with story.database.transaction() as session:
        change_policy(session, story.model().name, {"probe_size": 100}, "admin")
    story.forget(training_ids(digits, 5)[:1])
    # Once because of the policy, and once because of the version that was published meanwhile.
    assert [run.item_count for run in story.runs()] == [60, 60, 1, 60]
    assert story.runs()[2].state is RunState.NO_DETECTABLE_INFLUENCE


def test_what_runs_have_failed_on_again_and_again_is_tried_together_with_nothing(
    story: Story, digits: Digits
) -> None:
    held(story, digits)
    with story.database.transaction() as session:
        session.execute(update(DeletionItem).values(attempts=3))
    story.forget(training_ids(digits, 5))
    assert [run.item_count for run in story.runs()] == [60, 56]


def test_a_changed_policy_judges_what_waits_again(story: Story, digits: Digits) -> None:
    request_id, _ = held(story, digits)
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(story.resources.settings)
    assert len(story.runs()) == 1
    with story.database.transaction() as session:
        change_policy(session, story.model().name, {"method": {"method": "auto"}}, "admin")
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(story.resources.settings)
    assert story.runs()[-1].state is RunState.PUBLISHED
    assert outcomes(story.database, request_id) == {Outcome.FORGOTTEN: 60}


def test_what_was_published_short_does_not_hold_up_what_comes_later(
    story: Story, digits: Digits
) -> None:
    weakened, run = held(story, digits)
    decide(story, approve, run.id, 0)
    later = story.forget(training_ids(digits, 5)[:1]).id
    latest = story.runs()[-1]
    # By the same policy, which leaves the class as familiar as it was.
    assert latest.state is RunState.NO_DETECTABLE_INFLUENCE
    assert latest.verdict is not None
    assert outcomes(story.database, later) == {Outcome.FORGOTTEN: 1}
    conceded = [said for said in latest.verdict.remarks if "earlier version" in said]
    assert len(conceded) == 1
    assert "Label 3" in conceded[0]
    assert "still recognised" in conceded[0]
    assert outcomes(story.database, weakened) == {Outcome.WEAKENED: 60}
    assert sample_row(story.database, training_ids(digits, 3)[0]).weakened
    # More of the same class is judged anew.
    story.forget(digits.of_label(3))
    assert story.runs()[-1].state is not RunState.NEEDS_REVIEW


def test_what_a_stricter_policy_still_allows_of_an_approved_run_is_tried(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    asked = training_ids(digits, 3)
    first, second = story.post(asked[:20]), story.post(asked[20:])
    work(story.resources.settings)
    (run,) = story.runs()
    with story.database.transaction() as session:
        approve(session, run.id, 0, "admin")
        change_policy(session, "digits", {"gate": {"max_forgotten_share": 0.05}}, "admin")
    story.resources.doorbell.ring(Job.UNLEARN, run.model_id)
    work(story.resources.settings)
    _, outdated, again = story.runs()
    assert (outdated.failure or {})["kind"] == "review-outdated"
    # 5 % of the training samples are more than twenty, and fewer than sixty.
    assert again.item_count == 20
    assert outcomes(story.database, first) == {Outcome.FORGOTTEN: 20}
    assert outcomes(story.database, second) == {Outcome.FAILED: 40}


def test_an_approval_is_outdated_once_the_head_has_moved(story: Story, digits: Digits) -> None:
    _, run = held(story, digits)
    with story.database.transaction() as session:
        approve(session, run.id, 0, "admin")
        # As if another run had published between the decision and this claim.
        session.get_one(UnlearningRun, run.id).parent_version = 5
    story.resources.doorbell.ring(Job.UNLEARN, run.model_id)
    story.set_policy()
    work(story.resources.settings)
    latest = story.runs()[-1]
    assert latest.carries_out is None
    assert latest.state is RunState.PUBLISHED
    assert "run.approval_lapsed" in audit_events(story.database)


def test_an_approval_of_other_cohorts_than_there_are_gives_its_items_back(
    story: Story, digits: Digits
) -> None:
    _, run = held(story, digits)
    with story.database.transaction() as session:
        row = session.get_one(UnlearningRun, run.id)
        assert row.verdict is not None
        (cohort,) = row.verdict.cohorts
        other = cohort.model_copy(update={"name": "label 9", "labels": [9]})
        row.verdict = row.verdict.model_copy(update={"cohorts": [other]})
    decide(story, approve, run.id, 0)
    approved, failed, anew = story.runs()
    assert failed.carries_out == approved.id
    assert failed.failure is not None
    assert failed.failure["kind"] == "review-outdated"
    # They are tried like any others.
    assert anew.carries_out is None
    assert anew.state is RunState.NEEDS_REVIEW
    with story.database.reading() as session:
        assert {item.run_id for item in session.query(DeletionItem)} == {anew.id}


def test_an_approval_is_not_carried_out_once_some_of_its_samples_are_withdrawn(
    story: Story, digits: Digits
) -> None:
    ids = training_ids(digits, 3)
    story.set_policy(method={"method": "fixed", "alpha": 1e9})
    withdrawn, other = story.post(ids[:40]), story.post(ids[40:])
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    with story.database.transaction() as session:
        approve(session, run.id, 0, "admin")
    with story.database.transaction() as session:
        assert withdraw(session, session.get_one(DeletionRequest, withdrawn), "admin")
    # What was approved is to forget the whole class, and now most of it stays.
    story.resources.doorbell.ring(Job.UNLEARN, run.model_id)
    work(story.resources.settings)
    _, failed, anew = story.runs()
    assert failed.failure is not None
    assert failed.failure["kind"] == "review-outdated"
    assert anew.carries_out is None
    assert anew.item_count == len(ids) - 40
    assert [row.version for row in story.checkpoints()] == [0]
    assert outcomes(story.database, other) == {Outcome.PENDING: len(ids) - 40}


def test_what_is_not_forgotten_is_not_called_undecidable_because_of_others_that_are(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 1e9}, gate={"min_probe": 6})
    # A label that is gone, of which six holdout samples tell, and some of one that none tell of.
    with story.database.transaction() as session:
        session.execute(
            update(Sample)
            .where(Sample.split == Split.HOLDOUT, Sample.label == 5)
            .values(forgotten_version=0)
        )
    story.forget([*training_ids(digits, 3), *training_ids(digits, 5)[:4]])
    (run,) = story.runs()
    assert run.verdict is not None
    assert run.verdict.outcome == "needs_review"
    chosen = run.verdict.ladder[run.verdict.rung]
    assert chosen.shortfalls
    assert chosen.undecided


def test_too_few_samples_to_compare_with_are_undecidable_not_a_guess(
    story: Story, digits: Digits
) -> None:
    story.set_policy(gate={"min_probe": 30})
    request_id = story.forget(training_ids(digits, 3)[:20]).id
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    assert run.verdict is not None
    assert run.verdict.outcome == "undecidable"
    assert "at least 30" in run.verdict.reasons[0]
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 20}


def test_asking_for_more_than_the_policy_allows_is_refused_and_leaves_nothing(
    story: Story, digits: Digits
) -> None:
    story.set_policy(gate={"max_forgotten_share": 0.2})
    story.post(training_ids(digits, 3))
    with pytest.raises(ForgetsTooMuch, match="20 %"):
        story.post(training_ids(digits, 5))
    with pytest.raises(ForgetsTooMuch):
        story.post(training_ids(digits, 5), mode="dry_run")
    everything = [name for label in range(10) for name in training_ids(digits, label)]
    with pytest.raises(NothingRetained):
        story.post(everything)
    with story.database.reading() as session:
        assert session.query(DeletionRequest).count() == 1


def test_a_dry_run_says_what_would_happen_and_leaves_nothing_behind(
    story: Story, digits: Digits
) -> None:
    before = files(story)
    request_id = story.post(training_ids(digits, 3), mode="dry_run")
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.state is RunState.PREDICTED
    assert run.verdict is not None
    assert run.verdict.outcome == "published"
    assert run.verdict.weights.dampened > 0
    assert outcomes(story.database, request_id) == {Outcome.PREDICTED: 60}
    assert files(story) == before
    assert [row.version for row in story.checkpoints()] == [0]
    assert sample_row(story.database, training_ids(digits, 3)[0]).forgotten_version is None
    # And the deletion itself then does what was predicted.
    story.forget(training_ids(digits, 3))
    deletion = story.runs()[-1]
    assert deletion.verdict is not None
    assert deletion.verdict.cohorts == run.verdict.cohorts


def files(story: Story) -> set[Path]:
    """All files of the artifact store."""
    root = story.path(0).parents[2]
    return {path for path in root.rglob("*") if path.is_file()}


def test_dry_runs_and_deletions_that_wait_together_do_not_mix(story: Story, digits: Digits) -> None:
    story.post(training_ids(digits, 3), mode="dry_run")
    story.post(training_ids(digits, 5)[:2], mode="dry_run")
    story.post(training_ids(digits, 5)[:4])
    work(story.resources.settings)
    assert [(run.mode.value, run.item_count) for run in story.runs()] == [
        ("delete", 4),
        ("dry_run", 60),
        ("dry_run", 2),
    ]


def test_a_dry_run_does_not_say_that_something_was_done(story: Story, digits: Digits) -> None:
    story.post(training_ids(digits, 5)[:1], mode="dry_run")
    work(story.resources.settings)
    (run,) = story.runs()
    assert run.verdict is not None
    assert run.verdict.outcome == "no_detectable_influence"
    assert "would be dampened" in run.verdict.remarks[0]


def advised(story: Story) -> bool:
    with story.database.reading() as session:
        return is_retraining_advised(session, find_model(session, "digits"))


def test_a_spent_damage_budget_advises_to_retrain(story: Story, digits: Digits) -> None:
    # So strong that hardly anything is left of the network, which says nothing of other settings.
    story.set_policy(method={"method": "fixed", "alpha": 0.01, "lambda": 0.01})
    request_id = story.forget(training_ids(digits, 3)).id
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    assert run.verdict is not None
    assert run.verdict.ladder[0].damage
    assert not advised(story)
    decide(story, approve, run.id, 0)
    assert outcomes(story.database, request_id) == {Outcome.FORGOTTEN: 60}
    assert advised(story)
    # By the policy in force, whatever it was when that was published.
    story.set_policy(gate={"max_holdout_fall": 1.0})
    assert not advised(story)
    story.set_policy(gate={"max_holdout_fall": 0.0})
    assert advised(story)


def test_a_search_that_finds_no_harmless_rung_advises_to_retrain(
    story: Story, digits: Digits
) -> None:
    # Scattered over all classes, at the seeds of the adaptive rule and nowhere else.
    story.set_policy(method={"method": "auto", "max_candidates": 1})
    story.forget([name for label in range(10) for name in training_ids(digits, label)[:15]])
    (run,) = story.runs()
    assert run.state is RunState.NEEDS_REVIEW
    assert run.verdict is not None
    assert all(rung.damage for rung in run.verdict.ladder)
    assert advised(story)
    # Nothing was published, and nothing waits any more that could not be.
    decide(story, reject, run.id, "they stay")
    assert not advised(story)


def test_a_report_is_kept_of_every_run_that_was_judged(story: Story, digits: Digits) -> None:
    story.forget(training_ids(digits, 3))
    with story.database.reading() as session:
        details = session.get_one(RunReport, story.runs()[0].id).details
    for network in (details.loss_histograms.base, details.loss_histograms.candidate):
        for shares in (network.forgotten, network.retained, network.unseen):
            assert sum(shares) == pytest.approx(1, abs=1e-4)
    forgetting = details.zero_retrain_forgetting
    assert forgetting.candidate.value > forgetting.base.value
