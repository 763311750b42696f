"""Many settings on one task."""

import pytest
import torch

from benchmarks.experiments.figures import accuracies
from benchmarks.experiments.laboratory import OWN_ESTIMATOR
from benchmarks.experiments.subjects import Subjects
from benchmarks.experiments.sweeps import effective, spaced, sweep
from benchmarks.experiments.tasks import whole_class
from benchmarks.experiments.training import Networks
from models.specifications import AdaptiveMethod
from tests.unit.benchmarks.experiments.samples import RECIPE, data
from workers.unlearning.estimators import empirical
from workers.unlearning.tuning import Setting

TASK = whole_class(data(), RECIPE, 3)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    return Subjects(Networks(tmp_path_factory.mktemp("networks")))


def test_numbers_are_spaced_by_equal_ratios_and_reach_both_ends() -> None:
    assert spaced(0.1, 100, 4) == pytest.approx([0.1, 1, 10, 100])


def test_a_setting_dampens_the_same_weights_as_its_effective_one(subjects: Subjects) -> None:
    subject = subjects.of(TASK, 0)
    given = Setting(0.2, 0.7)
    assert effective(given) == Setting(0.7, 0.7)
    mixer, (cohort,) = subject.mixer(TASK.forgotten), subject.cohorts(TASK.forgotten)
    mine, other = (mixer.mix({cohort: each}).weights for each in (given, effective(given)))
    for name, tensor in mine.items():
        assert torch.equal(tensor, other[name]), name


def test_beyond_every_finite_ratio_accuracies_are_near_those_of_the_base(
    subjects: Subjects,
) -> None:
    subject = subjects.of(TASK, 0)
    (found,) = sweep(subject, TASK, [Setting(1e300, 1.0)])
    base = subjects.networks.trained(RECIPE, TASK.train, 0)
    assert found.retained == pytest.approx(accuracies(base, TASK).retained, abs=0.05)


def test_sums_are_those_of_the_estimator_that_was_asked_for(subjects: Subjects) -> None:
    mine, others = (
        Subjects(subjects.networks, estimator).of(TASK, 0).full
        for estimator in (OWN_ESTIMATOR, empirical())
    )
    for name, tensor in subjects.of(TASK, 0).full.items():
        assert torch.equal(tensor, mine[name])
        assert not torch.equal(tensor, others[name])


def test_a_request_is_the_same_whatever_was_forgotten_before(subjects: Subjects) -> None:
    method = AdaptiveMethod(method="adaptive")
    first = subjects.request(TASK, 0, method).found.weights
    subjects.request(whole_class(data(), RECIPE, 5), 0, method)
    again = subjects.request(TASK, 0, method).found.weights
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
