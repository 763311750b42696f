"""Which samples a network is tried out on, and when it does no better than guessing."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.errors import NetworkMismatch
from models.records import Split
from models.specifications import ArchitectureSpec, EmpiricalEstimator, Enrolment
from workers.datasets import Dataset
from workers.enrolment.records import SampleRows
from workers.enrolment.tryout import FEWEST, balanced, require_better_than_guessing, try_out
from workers.unlearning.batches import Batch
from workers.unlearning.probing.intervals import share


def rows_of(labels: list[int], splits: list[Split]) -> SampleRows:
    """Samples in a random order of ranks."""
    ranks = np.random.default_rng(0).permutation(len(labels)).tolist()
    return SampleRows([str(position) for position in range(len(labels))], labels, splits, ranks)


samples = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(list(Split))), max_size=60)


@given(samples, st.integers(1, 40))
def test_equally_many_of_each_label_are_drawn_those_of_the_lowest_ranks(
    given_samples: list[tuple[int, Split]], size: int
) -> None:
    rows = rows_of([label for label, _ in given_samples], [split for _, split in given_samples])
    of_split = [
        (rank, position, label)
        for position, (label, split, rank) in enumerate(
            zip(rows.labels, rows.splits, rows.probe_ranks, strict=True)
        )
        if split is Split.TRAIN
    ]
    labels = Counter(label for _, _, label in of_split)
    quota = max(1, size // max(1, len(labels)))
    expected = [
        (rank, position, label)
        for rank, position, label in sorted(of_split)
        if sum(other < rank for other, _, of in of_split if of == label) < quota
    ][:size]
    drawn = balanced(rows, Split.TRAIN, size)
    assert drawn == sorted((position, label) for _, position, label in expected)


def test_of_more_labels_than_samples_it_is_chance_which_are_drawn() -> None:
    rows = rows_of(list(range(1000)), [Split.TRAIN] * 1000)
    drawn = [label for _, label in balanced(rows, Split.TRAIN, 100)]
    assert len(drawn) == 100
    assert min(drawn) < 200
    assert max(drawn) > 800


@pytest.mark.parametrize(
    ("right", "count", "labels", "guesses"),
    [
        (50, 500, 10, True),
        (62, 500, 10, True),
        (70, 500, 10, False),
        (500, 500, 10, False),
        (2, 500, 500, True),
        (6, 500, 500, False),
        # Of too few nothing can be told, and of a single label everybody is right.
        (0, FEWEST - 1, 10, False),
        (0, FEWEST, 10, True),
        (500, 500, 1, False),
    ],
)
def test_a_network_guesses_unless_it_is_significantly_better(
    right: int, count: int, labels: int, guesses: bool
) -> None:
    found = share(right, count)
    assert found is not None
    if not guesses:
        require_better_than_guessing(found, labels=labels)
        return
    with pytest.raises(NetworkMismatch, match=f"classifies {right} of {count} training images"):
        require_better_than_guessing(found, labels=labels)


def test_a_network_that_changes_its_input_in_place_is_tried_on_the_samples_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Normalising(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs.sub_(0.3).div_(1.5))

    enrolment = Enrolment.model_construct(
        architecture=ArchitectureSpec(name="linear", num_classes=3), estimator=EmpiricalEstimator()
    )
    few = Batch.of(torch.randn(8, 4), torch.arange(8) % 3)
    before = few.inputs.clone()
    monkeypatch.setattr("workers.enrolment.tryout._read", lambda *_: few)
    try_out(Normalising(4, 3).eval(), enrolment, Dataset.__new__(Dataset), [], torch.device("cpu"))
    assert torch.equal(few.inputs, before)
