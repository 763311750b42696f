"""Requests one after another, and what serves them."""

from pathlib import Path

import pytest
import torch

from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.sequences import partitions
from benchmarks.experiments.sequences.course import Course
from benchmarks.experiments.sequences.figures import measure
from benchmarks.experiments.sequences.from_base import Ledger, Part, adaptive_factors
from benchmarks.experiments.sequences.runs import measured_now, run
from benchmarks.experiments.sequences.scenarios import LABEL, REQUESTS, SCENARIOS
from benchmarks.experiments.sequences.service import Service
from benchmarks.experiments.sequences.strategies import STRATEGIES
from benchmarks.experiments.sequences.summary import batching, summarise
from benchmarks.experiments.store import Store
from tests.unit.benchmarks.experiments.samples import RECIPE, data
from workers.unlearning.batches import Batch

COUNT = 1000
LABELS = torch.arange(COUNT) % 10
DATA = data()
# The cuts of cohorts are compared after so many.
FEW = 5


@pytest.fixture(scope="module")
def course() -> Course:
    """A few requests of five samples each, across labels."""
    network = RECIPE.train(DATA.train, seed=0)
    unseen = DATA.unseen
    holdout = Batch(unseen.inputs, unseen.labels, unseen.positions + len(DATA.train))
    rows = torch.arange(len(DATA.train))
    return Course(
        kind=SCENARIOS["random_users"].kind,
        requests=[(rows >= 5 * k) & (rows < 5 * k + 5) for k in range(FEW)],
        data=DATA,
        recipe=RECIPE,
        network=network,
        subject=Subject.enrolled(network, DATA.train, holdout),
        seed=0,
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_are_twenty_disjoint_and_depend_on_the_seed_alone(name: str) -> None:
    first, again, other = (SCENARIOS[name].requests(LABELS, seed) for seed in (0, 0, 1))
    assert len(first) == REQUESTS
    assert all(request.any() for request in first)
    assert int(torch.stack(first).sum(dim=0).max()) == 1
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert not torch.equal(torch.stack(first), torch.stack(other))


def test_one_class_goes_in_equal_parts_until_it_is_gone() -> None:
    requests = SCENARIOS["one_class"].requests(LABELS, 0)
    assert {int(request.sum()) for request in requests} == {100 // REQUESTS}
    assert torch.equal(torch.stack(requests).any(dim=0), LABELS == LABEL)


def test_across_classes_every_label_is_hit_twice_and_loses_a_fifth() -> None:
    requests = SCENARIOS["across_classes"].requests(LABELS, 0)
    hit = [set(LABELS[request].tolist()) for request in requests]
    assert all(len(labels) == 1 for labels in hit)
    assert hit[:10] == hit[10:]
    gone = LABELS[torch.stack(requests).any(dim=0)]
    assert gone.bincount().tolist() == [20] * 10


def test_users_name_twenty_samples_each_and_need_enough_of_them() -> None:
    requests = SCENARIOS["random_users"].requests(LABELS, 0)
    assert [int(request.sum()) for request in requests] == [20] * REQUESTS
    with pytest.raises(ValueError, match="400 are to be forgotten"):
        SCENARIOS["random_users"].requests(LABELS[:399], 0)


def test_what_is_forgotten_grows_with_every_request(course: Course) -> None:
    counts = [int(course.forgotten(after).sum()) for after in range(FEW + 1)]
    assert counts == [5 * after for after in range(FEW + 1)]


def test_the_minimum_over_parts_is_that_of_each_by_itself(course: Course) -> None:
    parts = []
    for request in course.requests[:3]:
        ledger = Ledger(course.subject)
        ledger.add(request)
        parts.append(ledger.everything())
    together = adaptive_factors(course.subject, parts)
    one_by_one = [adaptive_factors(course.subject, [part]) for part in reversed(parts)]
    for name, factors in together.items():
        each = torch.stack([alone[name] for alone in one_by_one])
        assert torch.equal(factors, each.amin(dim=0)), name


def test_sums_of_requests_add_up_to_those_of_everything(course: Course) -> None:
    ledger = Ledger(course.subject)
    for request in course.requests[:4]:
        ledger.add(request)
    found = ledger.everything()
    rows = course.forgotten(after=4).nonzero().flatten()
    at_once = Part(course.subject.sums_of(rows), len(rows))
    assert found.count == at_once.count
    for name, total in found.sums.items():
        torch.testing.assert_close(total, at_once.sums[name], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    "cut",
    [
        partitions.by_request,
        partitions.by_label,
        partitions.by_cluster,
        partitions.by_sample,
        partitions.undivided,
    ],
)
def test_a_cut_shares_out_everything_forgotten_and_nothing_else(
    course: Course, cut: partitions.Cut
) -> None:
    masks = torch.stack(cut(course, 5))
    assert torch.equal(masks.sum(dim=0), course.forgotten(after=5).long())


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"retrain", "auto", "auto_at_once"}))
def test_a_strategy_tells_seconds_of_requests_in_order_and_leaves_the_base_alone(
    course: Course, name: str
) -> None:
    before = {key: tensor.clone() for key, tensor in course.network.state_dict().items()}
    entries = measured_now(course, STRATEGIES[name])["requests"]
    numbers = [entry["request"] for entry in entries]
    assert numbers
    assert numbers == sorted(set(numbers) & set(range(1, FEW + 1)))
    assert entries[-1]["figures"]["loss_auc"] is not None
    for key, tensor in course.network.state_dict().items():
        assert torch.equal(tensor, before[key]), key


def test_what_was_asked_for_is_published_or_waits_and_never_both(course: Course) -> None:
    service = Service(course)
    for number, request in course.numbered():
        version = service.answer(number, request)
        assert not (service.published & service.waiting).any()
        assert torch.equal(service.published | service.waiting, course.forgotten(after=number))
        held = version.notes["decision"] == "needs_review"
        assert bool((service.waiting & request).any()) == held
        assert version.network is service.network
        assert (version.network is course.network) == (not service.published.any())


def test_the_service_notes_every_decision_and_serves_the_base_until_it_publishes(
    course: Course, tmp_path: Path
) -> None:
    names = ("auto", "auto_at_once")
    measured = run(
        lambda _scenario, _seed: course,
        scenarios=["random_users"],
        strategies={name: STRATEGIES[name] for name in names},
        seeds=[0],
        store=Store(tmp_path),
    )
    summary = summarise(measured)
    one_by_one, at_once = (summary["random_users"][name] for name in names)
    decisions = [each["decision"] for each in one_by_one["decisions"][0]]
    assert len(decisions) == FEW
    assert [each["request"] for each in at_once["decisions"][0]] == [FEW]
    assert batching(summary["random_users"], FEW) is not None
    if decisions[0] == "needs_review":
        served = one_by_one["after"][1]["retained_test"]["by_seed"][0]
        assert served == measure(course.network, course, 1).retained_test
