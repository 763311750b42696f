"""Checks, the holdout draw, probe ranks and the manifest digest."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.errors import DatasetUnreadable, DuplicateSamples, InvalidSampleId, LabelOutOfRange
from models.records.sample import MAX_SAMPLE_ID
from models.records.states import Split
from models.specifications import HoldoutSpec
from workers.datasets.indexing import checked_index, manifest_digest, probe_ranks, split_samples
from workers.datasets.source import SampleIndex

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60)
ROWS = st.lists(
    st.tuples(st.text(max_size=6), st.integers(0, 300), st.sampled_from(Split)), max_size=5
)


def index(sample_ids, labels=None, splits=None) -> SampleIndex:
    labels = [0] * len(sample_ids) if labels is None else labels
    return SampleIndex(list(sample_ids), np.array(labels, dtype=np.int64), splits)


def labelled(labels: list[int]) -> SampleIndex:
    return index([str(position) for position in range(len(labels))], labels)


def digest(rows) -> str:
    return manifest_digest(
        index([row[0] for row in rows], [row[1] for row in rows]), [row[2] for row in rows]
    )


@pytest.mark.parametrize(
    "sample_id", ["a", "x" * MAX_SAMPLE_ID, "müller/7", "日本 \U0001f600", " "]
)
def test_ordinary_sample_ids_pass(sample_id: str):
    checked_index(index([sample_id]), 2)


@pytest.mark.parametrize(
    ("sample_id", "fault"),
    [
        ("", "is empty"),
        ("x" * (MAX_SAMPLE_ID + 1), "has 256 characters; at most 255"),
        ("a\nb", r"control character.*'a\\nb'"),
        ("a\n", "control character"),
        ("\0", "control character"),
        ("\x7f", "control character"),
        ("\x85", "control character"),
        ("\ud800", r"unpaired surrogate.*'\\ud800'"),
    ],
)
def test_a_sample_id_that_cannot_be_kept_is_refused_with_its_position(sample_id: str, fault: str):
    with pytest.raises(InvalidSampleId, match=f"position 1 .*{fault}"):
        checked_index(index(["a", sample_id]), 2)


def test_the_first_repeated_sample_ids_are_named_and_all_are_counted():
    with pytest.raises(DuplicateSamples, match=r"^4 sample IDs .*: a, b, c, …$"):
        checked_index(index("abcdabcdae"), 2)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_an_output_is_named_with_its_first_position(label: int):
    with pytest.raises(LabelOutOfRange, match=rf"position 1 .*label {label}, .*3 classes.* 0 to 2"):
        checked_index(index("abc", [2, label, label]), 3)


def test_a_dataset_without_samples_is_refused():
    with pytest.raises(DatasetUnreadable, match="no samples"):
        checked_index(index([]), 3)


def test_declared_splits_are_kept():
    splits = [Split.HOLDOUT, Split.TRAIN]
    assert split_samples(index("ab", splits=splits), HoldoutSpec(fraction=0.9)) == splits


@given(labels=LABELS, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**63 - 1))
def test_each_label_gives_its_share_to_the_holdout(labels: list[int], fraction: float, seed: int):
    splits = split_samples(labelled(labels), HoldoutSpec(fraction=fraction, seed=seed))
    held_out = Counter(
        label for label, split in zip(labels, splits, strict=True) if split is Split.HOLDOUT
    )
    expected = {label: round(fraction * count) for label, count in Counter(labels).items()}
    assert held_out == {label: count for label, count in expected.items() if count}


def test_the_draw_depends_on_the_seed_and_not_on_the_sample_ids():
    labels = [0, 1] * 50
    one = split_samples(labelled(labels), HoldoutSpec(seed=1))
    renamed = index([f"s{position}" for position in range(100)], labels)
    assert split_samples(renamed, HoldoutSpec(seed=1)) == one
    assert split_samples(renamed, HoldoutSpec(seed=2)) != one


def test_the_draw_is_the_same_everywhere():
    splits = split_samples(labelled([0] * 10 + [1] * 10), HoldoutSpec(fraction=0.2, seed=7))
    assert [p for p, split in enumerate(splits) if split is Split.HOLDOUT] == [1, 8, 12, 19]


def test_every_sample_is_held_out_about_as_often():
    draws = range(2000)
    times = np.zeros(10)
    for seed in draws:
        splits = split_samples(labelled([0] * 10), HoldoutSpec(fraction=0.3, seed=seed))
        times += [split is Split.HOLDOUT for split in splits]
    # Four standard deviations of a binomial of 2000 draws at 0.3.
    assert abs(times / len(draws) - 0.3).max() < 4 * (0.3 * 0.7 / len(draws)) ** 0.5


@given(n=st.integers(0, 200), seed=st.integers(0, 2**63 - 1))
def test_probe_ranks_are_a_permutation(n: int, seed: int):
    ranks = probe_ranks(n, seed)
    assert ranks.dtype == np.int64
    assert sorted(ranks.tolist()) == list(range(n))
    assert np.array_equal(ranks, probe_ranks(n, seed))


def test_probe_ranks_are_the_same_everywhere():
    assert probe_ranks(6, 7).tolist() == [5, 0, 3, 2, 1, 4]
    assert probe_ranks(6, 8).tolist() != [5, 0, 3, 2, 1, 4]


def test_the_digest_is_that_of_its_documented_form():
    lines = "0,3,train,1,a\n1,12,holdout,3,é,\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert digest([("a", 3, Split.TRAIN), ("é,", 12, Split.HOLDOUT)]) == expected


@given(one=ROWS, other=ROWS)
def test_different_manifests_have_different_digests(one, other):
    assume(one != other)
    assert digest(one) != digest(other)


def test_a_sample_id_cannot_imitate_the_next_line():
    two = [("a", 0, Split.TRAIN), ("b", 0, Split.TRAIN)]
    assert digest([("a\n1,0,train,1,b", 0, Split.TRAIN)]) != digest(two)


@given(rows=ROWS.filter(bool), data=st.data())
def test_any_change_of_one_sample_changes_the_digest(rows, data):
    position = data.draw(st.integers(0, len(rows) - 1))
    sample_id, label, split = rows[position]
    other_split = Split.HOLDOUT if split is Split.TRAIN else Split.TRAIN
    for changed in (
        (sample_id + "x", label, split),
        (sample_id, label + 1, split),
        (sample_id, label, other_split),
    ):
        assert digest([*rows[:position], changed, *rows[position + 1 :]]) != digest(rows)
    assert digest(rows[:-1]) != digest(rows)
