"""Networks that are kept."""

from pathlib import Path

import torch

from benchmarks.experiments.training import Networks
from tests.unit.benchmarks.experiments.samples import RECIPE, samples


def test_a_kept_network_is_the_one_that_was_trained_and_tells_how_long_that_took(
    tmp_path: Path,
) -> None:
    networks = Networks(tmp_path)
    trained = networks.timed(RECIPE, samples(64, 0), seed=0)
    kept = networks.timed(RECIPE, samples(64, 0), seed=0)
    assert kept.seconds == trained.seconds > 0
    for name, tensor in trained.network.state_dict().items():
        assert torch.equal(tensor, kept.network.state_dict()[name]), name
    assert len(list(tmp_path.iterdir())) == 1


def test_other_samples_or_another_seed_make_another_network(tmp_path: Path) -> None:
    networks = Networks(tmp_path)
    networks.trained(RECIPE, samples(64, 0), seed=0)
    networks.trained(RECIPE, samples(64, 1), seed=0)
    networks.trained(RECIPE, samples(64, 0), seed=1)
    assert len(list(tmp_path.iterdir())) == 3
