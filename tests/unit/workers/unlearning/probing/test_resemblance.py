"""ZRF against its definition, sample by sample."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.unit.workers.unlearning.observations import Echo
from workers.unlearning.batches import Batch
from workers.unlearning.probing.resemblance import zero_retrain_forgetting


class Shifted(nn.Module):
    """Its outputs are the inputs, turned round by one class and scaled."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.scale * inputs.roll(1, dims=1)


def shares(logits: list[float]) -> list[float]:
    total = math.fsum(math.exp(logit - max(logits)) for logit in logits)
    return [math.exp(logit - max(logits)) / total for logit in logits]


def divergence(p: list[float], q: list[float]) -> float:
    """Jensen and Shannon's, in bits."""
    return math.fsum(
        share * math.log2(2 * share / (a + b)) / 2
        for a, b in zip(p, q, strict=True)
        for share in (a, b)
        if share
    )


def batch(rows: list[list[float]]) -> Batch:
    return Batch.of(torch.tensor(rows), torch.zeros(len(rows), dtype=torch.int64))


@given(
    st.integers(2, 5).flatmap(
        lambda classes: st.lists(
            st.lists(st.floats(-40, 40, width=32), min_size=classes, max_size=classes),
            min_size=1,
            max_size=6,
        )
    )
)
def test_zrf_is_one_less_the_mean_divergence_in_bits(rows: list[list[float]]) -> None:
    expected = [divergence(shares(row), shares([row[-1], *row[:-1]])) for row in rows]
    for batches in ([batch(rows)], [batch([row]) for row in rows]):
        found = zero_retrain_forgetting(Echo(), Shifted(), batches)
        assert found is not None
        assert found.count == len(rows)
        assert found.value == pytest.approx(1 - sum(expected) / len(rows), abs=1e-9)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_zrf_is_one_of_the_same_network_and_none_of_a_certain_opposite(classes: int) -> None:
    certain = batch([[1000.0, *[0.0] * (classes - 1)]])
    same = zero_retrain_forgetting(Echo(), Echo(), [certain])
    opposite = zero_retrain_forgetting(Echo(), Shifted(), [certain])
    assert same is not None
    assert opposite is not None
    assert same.value == 1.0
    assert opposite.value == pytest.approx(0.0)


def test_zrf_does_not_depend_on_classes_that_nobody_predicts() -> None:
    rows, more = torch.tensor([[1.0, -2.0]]), torch.full((1, 50), -math.inf)
    wide = torch.cat([rows, more], dim=1)
    narrow, padded = (
        zero_retrain_forgetting(Echo(), nn.Hardtanh(-math.inf, 0.5), [batch(each.tolist())])
        for each in (rows, wide)
    )
    assert narrow is not None
    assert padded is not None
    assert narrow.value == pytest.approx(padded.value)
    assert narrow.value != 1.0


def test_zrf_of_no_samples_is_none_and_of_no_numbers_no_number() -> None:
    assert zero_retrain_forgetting(Echo(), Echo(), []) is None
    assert zero_retrain_forgetting(Echo(), Echo(), [batch([[0.0, 0.0]]).part(0, 0)]) is None
    found = zero_retrain_forgetting(Echo(), Echo(), [batch([[math.nan, 0.0]])])
    assert found is not None
    assert found.as_document().as_json()["value"] is None


def test_a_network_that_changes_its_inputs_changes_neither_the_others_nor_those_that_are_kept() -> (
    None
):
    rows = [[1.0, -2.0], [-3.0, 0.5]]
    kept = batch(rows)
    expected = zero_retrain_forgetting(nn.ReLU(), Echo(), [batch(rows)])
    assert zero_retrain_forgetting(nn.ReLU(inplace=True), Echo(), [kept]) == expected
    assert kept.inputs.tolist() == rows
