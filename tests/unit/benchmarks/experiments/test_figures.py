"""What a network still knows."""

from benchmarks.experiments.figures import measure
from benchmarks.experiments.tasks import random_samples, whole_class
from tests.unit.benchmarks.experiments.samples import RECIPE, data


def test_figures_are_shares_and_random_samples_have_no_label_to_test() -> None:
    network = RECIPE.build(seed=0)
    of_class = measure(network, whole_class(data(), RECIPE, 3))
    of_random = measure(network, random_samples(data(), RECIPE, 0))
    assert of_class.forgotten_test is not None
    assert of_random.forgotten_test is None
    for figures in (of_class, of_random):
        assert all(0 <= share <= 1 for share in vars(figures).values() if share is not None)
