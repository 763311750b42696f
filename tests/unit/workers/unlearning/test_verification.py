"""Figures against counting by hand, and the gate."""

import math

import pytest
import torch
from torch import Tensor, nn

from workers.unlearning.batches import Batch
from workers.unlearning.verification import Figures, judge, measure


class Echo(nn.Module):
    """Its inputs are the logits."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def test_figures_count_hits_and_losses_per_label() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1, 1, 0])
    figures = measure(Echo(), [Batch.of(logits[:1], labels[:1]), Batch.of(logits[1:], labels[1:])])
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert figures.count == 4
    assert figures.accuracy == 0.75
    assert figures.loss == pytest.approx((2 * right + wrong + math.log(2)) / 4)
    assert figures.count_by_label == {0: 2, 1: 2}
    assert figures.correct_by_label == {0: 2, 1: 1}
    assert figures.accuracy_without([1]) == 1.0
    assert figures.accuracy_without([0, 1]) is None


def test_no_samples_have_no_accuracy() -> None:
    figures = measure(Echo(), [Batch.of(torch.empty(0, 2), torch.empty(0, dtype=torch.int64))])
    assert figures.accuracy is None
    assert figures.loss is None


def of(correct: int, count: int = 1000) -> Figures:
    """Figures of a probe."""
    return Figures(count=count, correct=correct)


def test_a_fall_within_the_policy_passes() -> None:
    assert judge(of(990), of(970), max_fall=0.02) == []
    assert judge(of(900), of(990), max_fall=0.0) == []


def test_a_greater_fall_is_told_with_its_figures() -> None:
    (reason,) = judge(of(990), of(969), max_fall=0.02)
    assert "2.1 points, from 99.0 % to 96.9 %" in reason
    assert "allows 2.0" in reason


def test_an_empty_probe_passes_nothing() -> None:
    (reason,) = judge(of(0, 0), of(0, 0), max_fall=1.0)
    assert "empty" in reason
