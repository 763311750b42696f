"""A network with one class's own weights."""

import torch

from benchmarks.experiments.planted import plant
from tests.unit.benchmarks.experiments.samples import LABELS, data


def test_the_planted_class_is_as_large_as_the_others_and_has_the_last_label() -> None:
    planted = plant(data(), LABELS)
    assert planted.train.labels.bincount().tolist() == [20] * (LABELS + 1)
    assert set(planted.train.positions.tolist()) == set(range(220))
    assert LABELS not in planted.ordinary.labels


def test_what_is_planted_is_in_the_block_and_the_block_serves_no_other_output() -> None:
    planted = plant(data(), LABELS)
    network = planted.network(epochs=1, seed=0)
    named = dict(network.named_parameters())
    chosen = {name for name, mask in planted.block_of(named).items() if mask.all()}
    assert chosen == {name for name in named if name.startswith("block.")}
    before = network(planted.test.inputs)
    with torch.no_grad():
        for name in chosen:
            named[name].zero_()
    after = network(planted.test.inputs)
    assert torch.equal(before[:, :LABELS], after[:, :LABELS])
    assert not torch.equal(before[:, LABELS], after[:, LABELS])


def test_the_trunk_learns_nothing_while_the_block_is_trained() -> None:
    planted = plant(data(), LABELS)
    network = planted.network(epochs=1, seed=0)
    assert all(parameter.requires_grad for parameter in network.parameters())
    others = plant(data(), LABELS)
    others.train.inputs.neg_()
    again = others.network(epochs=1, seed=0)
    for mine, other in zip(network.trunk.parameters(), again.trunk.parameters(), strict=True):
        assert torch.equal(mine, other)
