"""Networks under management whose labels are large enough for sums of their own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.experiments.laboratory import Subject
from benchmarks.experiments.subjects import Subjects
from benchmarks.experiments.tasks import whole_class
from benchmarks.experiments.training import Networks
from models.specifications import AdaptiveMethod, FixedMethod, Policy
from tests.unit.benchmarks.experiments.samples import RECIPE, data, samples
from workers.enrolment.portions import LEAST
from workers.unlearning.batches import Batch
from workers.unlearning.importances import fisher_sums
from workers.unlearning.probing import probe
from workers.unlearning.tuning import Setting

# The first label is large, the others are not.
LABELS = torch.cat([torch.zeros(LEAST), torch.arange(100) % 9 + 1]).long()


@pytest.fixture(scope="module")
def subject() -> Subject:
    """An untrained network: what is summed does not depend on what it knows."""
    drawn = samples(len(LABELS) + 60, seed=0)
    order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(1))
    train = Batch(drawn.inputs[: len(LABELS)], LABELS[order], drawn.positions[: len(LABELS)])
    holdout = drawn.part(len(LABELS), len(drawn))
    return Subject.enrolled(RECIPE.build(seed=0).eval(), train, holdout)


def mixed(subject: Subject, forgotten: torch.Tensor) -> dict[str, torch.Tensor]:
    """The weights of a candidate."""
    (cohort,) = subject.cohorts(forgotten)
    return subject.mixer(forgotten).mix({cohort: Setting(2.0, 0.5)}).weights


def test_sums_of_enrolment_are_those_of_all_samples_and_of_each_large_label(
    subject: Subject,
) -> None:
    assert set(subject.of_labels) == {0}
    of_label = subject.train.rows((subject.train.labels == 0).nonzero().flatten())
    for found, of in ((subject.full, subject.train), (subject.of_labels[0], of_label)):
        expected = fisher_sums(subject.network, [of], estimator=subject.estimator)
        for name, total in expected.items():
            assert float((found[name] - total).abs().max()) <= 1e-5 * float(total.max()), name


def test_only_a_label_that_goes_whole_costs_no_gradient_pass(subject: Subject) -> None:
    whole = subject.train.labels == 0
    part = whole.clone()
    part[whole.nonzero()[0]] = False
    fresh = subject.afresh()
    from_enrolment = mixed(fresh, whole)
    assert not fresh._sums
    summed = mixed(replace(subject, of_labels={}, _sums={}), whole)
    for name, tensor in from_enrolment.items():
        torch.testing.assert_close(tensor, summed[name], rtol=1e-3, atol=1e-6)
    mixed(fresh, part)
    assert [len(rows) for rows in fresh._sums] == [LEAST - 1]
    assert not fresh.afresh()._sums


def test_sums_are_taken_at_the_base_whatever_the_network_holds(subject: Subject) -> None:
    rows = torch.arange(20)
    expected = subject.afresh().sums_of(rows)
    other = subject.afresh()
    other.network.load_state_dict(RECIPE.build(seed=1).state_dict())
    assert all(torch.equal(total, expected[name]) for name, total in other.sums_of(rows).items())


def test_what_is_looked_at_in_parts_is_judged_as_what_is_looked_at_at_once(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, method = subject.train.labels == 0, AdaptiveMethod(method="adaptive")
    policy = Policy.model_validate({"gate": {"min_probe": 1}})
    at_once = subject.afresh().forget(whole, method=method, policy=policy).chosen.judgement
    monkeypatch.setattr(probe, "LEAST", 1)
    in_parts = subject.afresh().forget(whole, method=method, policy=policy).chosen.judgement
    assert in_parts.falls == at_once.falls
    for cohort, standing in at_once.standings.items():
        assert in_parts.standings[cohort].accuracy == standing.accuracy
        assert in_parts.standings[cohort].recognised == standing.recognised


def test_a_request_finds_no_sums_of_one_before_and_each_seed_has_a_network(tmp_path: Path) -> None:
    subjects, task = Subjects(Networks(tmp_path)), whole_class(data(), RECIPE, 3)
    first, other = subjects.of(task, 0), subjects.of(task, 1)
    assert not first._sums
    assert any(not torch.equal(tensor, other.base[name]) for name, tensor in first.base.items())
    again = subjects.of(task, 0)
    assert all(torch.equal(tensor, again.base[name]) for name, tensor in first.base.items())
    method = FixedMethod.model_validate({"method": "fixed", "alpha": 3, "lambda": 0.5})
    found = subjects.request(task, 0, method)
    assert list(found.notes["settings"].values()) == [{"alpha": 3, "lambda": 0.5}]
    assert not subjects.of(task, 0)._sums
