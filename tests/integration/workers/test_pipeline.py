"""What a run makes of a batch: the numbers, and which of them may depend on what."""

import math
import random

import pytest
import torch
from sqlalchemy import select
from torch import Tensor

from benchmarks.tools.stack import OPEN_GATE
from models.artifacts import Artifact
from models.records import (
    DeletionItem,
    DeletionRequest,
    FisherSums,
    Outcome,
    RequestState,
    RunState,
    SumsKind,
)
from models.settings import Settings
from tests.conftest import Digits, settings_for, work
from tests.integration.workers.conftest import Story, share_that_differs
from tests.integration.workers.queries import outcomes, sample_row
from workers import bookkeeping
from workers.judging import candidates
from workers.resources import Resources, open_resources
from workers.subjects import read_on
from workers.tensors import read_tensors


def training_ids(digits: Digits, label: int) -> list[str]:
    """The training samples of a label; every tenth sample is holdout."""
    return [name for name in digits.of_label(label) if int(name.split("-")[1]) % 10]


def test_the_checkpoint_equals_the_plain_formula_element_by_element(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "fixed", "alpha": 4.0, "lambda": 0.5}, gate=OPEN_GATE)
    sample_ids = training_ids(digits, 3)
    story.forget(sample_ids)
    base, found = story.weights(0), story.weights(1)
    full, forget = stored_sums(story)
    total, forgotten = 540, len(sample_ids)
    for name, weight in base.items():
        if name not in full:
            assert torch.equal(found[name], weight)
            continue
        expected = [
            plain(w, f, g, total, forgotten)
            for w, f, g in zip(
                weight.double().flatten().tolist(),
                full[name].flatten().tolist(),
                forget[name].flatten().tolist(),
                strict=True,
            )
        ]
        assert found[name].flatten().tolist() == torch.tensor(expected).float().tolist()


def plain(weight: float, full: float, forget: float, total: int, forgotten: int) -> float:
    """One weight by the equations of SSD, α = 4, λ = 0.5, in Python's floats."""
    retain = full - forget if full - forget > 1e-6 * full else 0.0
    retain_importance, forget_importance = retain / (total - forgotten), forget / forgotten
    if forget_importance > 4.0 * retain_importance:
        return weight * min(0.5 * retain_importance / forget_importance, 1.0)
    return weight


def stored_sums(story: Story) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The full sums and those of the one label that is forgotten."""
    with story.database.reading() as session:
        rows = {row.kind: row for row in session.query(FisherSums)}
    full, forget = (
        read_tensors(
            story.resources.store.sized_path(Artifact(rows[kind].sha256, rows[kind].size))
        )[0]
        for kind in (SumsKind.FULL, SumsKind.FORGET)
    )
    return full, forget


def test_order_and_batching_change_nothing_but_rounding(
    story: Story, digits: Digits, request: pytest.FixtureRequest
) -> None:
    story.set_policy(gate=OPEN_GATE)
    wanted = [*training_ids(digits, 3), *training_ids(digits, 5)[:30], *training_ids(digits, 1)[:3]]
    shuffled = random.Random(1).sample(wanted, len(wanted))
    for start in range(0, len(shuffled), 23):
        story.forget(shuffled[start : start + 23])
    in_pieces = story.weights(len(story.checkpoints()) - 1)
    assert len(story.checkpoints()) == 1 + math.ceil(len(wanted) / 23)

    at_once = second_story(request)
    with open_resources(at_once) as resources:
        other = Story(resources)
        other.set_policy(gate=OPEN_GATE)
        other.forget(wanted)
        assert share_that_differs(in_pieces, other.weights(1)) <= 1e-5


def test_a_repeated_run_of_the_same_batch_is_byte_identical(
    story: Story, digits: Digits, request: pytest.FixtureRequest
) -> None:
    sample_ids = training_ids(digits, 3)
    story.forget(sample_ids)
    with open_resources(second_story(request)) as resources:
        again = Story(resources)
        again.forget(list(reversed(sample_ids)))
        assert again.checkpoints()[1].sha256 == story.checkpoints()[1].sha256


def test_sums_that_do_not_fit_into_memory_are_read_again(
    story: Story, digits: Digits, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [*training_ids(digits, 3), *training_ids(digits, 5)[:30]]

    def forget_in_two_runs(story: Story) -> str:
        story.set_policy(gate=OPEN_GATE)
        story.forget(wanted[::2])
        story.forget(wanted[1::2])
        return story.checkpoints()[2].sha256

    read: list[str] = []

    def noted(artifact: Artifact, resources: Resources) -> dict[str, Tensor]:
        read.append(artifact.sha256)
        return read_on(artifact, resources)

    monkeypatch.setattr(bookkeeping, "read_on", noted)
    with_memory = forget_in_two_runs(story)
    # Of two labels, once in the second run.
    assert len(read) == 2
    read.clear()
    for module in (bookkeeping, candidates):
        monkeypatch.setattr(module, "MOST_BYTES", 0)
    with open_resources(second_story(request)) as resources:
        assert forget_in_two_runs(Story(resources)) == with_memory
    assert len(read) > 4


def second_story(request: pytest.FixtureRequest) -> Settings:
    """Settings on another copy of the enrolled database."""
    servers = request.getfixturevalue("servers")
    template = request.getfixturevalue("digits_template")
    return settings_for(servers, servers.database(template))


def test_requests_that_wait_together_share_one_run(story: Story, digits: Digits) -> None:
    first, second = training_ids(digits, 3)[:5], training_ids(digits, 3)[5:]
    story.post(first)
    story.forget(second)
    (run,) = story.runs()
    assert run.state is RunState.PUBLISHED
    assert run.item_count == len(first) + len(second)
    assert [row.version for row in story.checkpoints()] == [0, 1]


def test_a_class_that_loses_its_retained_members_is_held_for_review_until_enough_is_asked(
    story: Story, digits: Digits
) -> None:
    story.set_policy(method={"method": "adaptive"}, gate={"max_class_fall": 1})
    sample_ids = training_ids(digits, 3)
    # Most of the class, so that the network loses what is left of it too.
    most = len(sample_ids) - 10
    early = story.forget(sample_ids[:most])
    (held,) = story.runs()
    assert held.state is RunState.NEEDS_REVIEW
    assert held.verdict is not None
    assert "retained probe" in held.verdict.reasons[0]
    assert [row.version for row in story.checkpoints()] == [0]
    assert outcomes(story.database, early.id) == {Outcome.PENDING: most}

    late = story.forget(sample_ids[most:])
    # Of ten samples by themselves nothing is known; with them gone, nobody of the class is left.
    states = [RunState.NEEDS_REVIEW, RunState.NO_DETECTABLE_INFLUENCE, RunState.PUBLISHED]
    assert [run.state for run in story.runs()] == states
    for request, count in ((early, most), (late, 10)):
        assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: count}


def test_a_sample_posted_twice_is_forgotten_once_and_settled_for_both(
    story: Story, digits: Digits
) -> None:
    sample_ids = training_ids(digits, 3)
    first, second = story.post(sample_ids), story.forget(sample_ids).id
    third = story.forget(sample_ids[:2]).id
    assert outcomes(story.database, first) == {Outcome.FORGOTTEN: len(sample_ids)}
    assert outcomes(story.database, second) == {Outcome.FORGOTTEN: len(sample_ids)}
    assert outcomes(story.database, third) == {Outcome.ALREADY_FORGOTTEN: 2}
    assert story.checkpoints()[-1].forgotten_count == len(sample_ids)


def test_a_holdout_sample_is_settled_at_the_present_head(story: Story, digits: Digits) -> None:
    (sample_id, *_) = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10 == 0]
    request = story.forget([sample_id])
    assert outcomes(story.database, request.id) == {Outcome.FORGOTTEN: 1}
    assert [run.state for run in story.runs()] == [RunState.NOTHING_TO_DO]
    assert [row.version for row in story.checkpoints()] == [0]
    assert sample_row(story.database, sample_id).forgotten_version == 0


def test_what_has_become_too_much_since_it_was_accepted_is_given_up_at_once(
    story: Story, digits: Digits
) -> None:
    request_id = story.post(training_ids(digits, 3))
    story.set_policy(gate={"max_forgotten_share": 0.1})
    work(story.resources.settings)
    assert outcomes(story.database, request_id) == {Outcome.FAILED: 60}
    # Trying again could not help.
    assert [(run.attempt, run.state) for run in story.runs()] == [(1, RunState.NOTHING_TO_DO)]
    assert [row.version for row in story.checkpoints()] == [0]
    with story.database.reading() as session:
        assert session.get_one(DeletionRequest, request_id).state is RequestState.SETTLED
        reasons = set(session.scalars(select(DeletionItem.reason)))
    assert reasons == {
        "60 of 540 training samples would be forgotten, which is more than the 10 % that the "
        "policy allows. Retrain the network without them, or change the policy."
    }


def test_what_has_become_too_much_is_left_out_and_what_fits_is_forgotten(
    story: Story, digits: Digits
) -> None:
    threes, fives = training_ids(digits, 3), training_ids(digits, 5)
    first = story.post(threes[:40])
    # Of these the first two are asked for already, and the others are too many.
    second = story.post([*threes[:2], *fives[:40]])
    third = story.post([fives[0]])
    story.set_policy(gate={**OPEN_GATE, "max_forgotten_share": 0.1})
    work(story.resources.settings)
    assert outcomes(story.database, first) == {Outcome.FORGOTTEN: 40}
    assert outcomes(story.database, second) == {Outcome.FORGOTTEN: 2, Outcome.FAILED: 40}
    assert outcomes(story.database, third) == {Outcome.FORGOTTEN: 1}
    (run,) = story.runs()
    assert run.item_count == 43


def test_a_run_tells_figures_weights_and_timings(story: Story, digits: Digits) -> None:
    story.forget(training_ids(digits, 3))
    (run,) = story.runs()
    assert run.verdict is not None
    figures = run.verdict.figures
    for network in (figures.base, figures.candidate):
        groups = ((network.forgotten, 60), (network.retained, 177), (network.holdout, 60))
        for group, count in groups:
            for estimate in (group.accuracy, group.loss):
                assert estimate is not None
                assert estimate.count == count
                assert estimate.low <= estimate.value <= estimate.high
    weights = run.verdict.weights
    changed = sum(
        int((story.weights(0)[name] != tensor).sum()) for name, tensor in story.weights(1).items()
    )
    assert 0 < changed <= weights.dampened < weights.total
    assert weights.dampened == sum(layer.dampened for layer in weights.layers.values())
    assert {"load", "weigh", "tune", "verify", "store", "publish"} == set(run.timings)
    assert run.progress is None
    assert run.finished_at is not None
