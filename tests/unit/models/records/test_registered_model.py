"""What a registered model's row says of its samples."""

from models.records import RegisteredModel, Split

ENROLLED = RegisteredModel(label_counts={"train": {"0": 7, "10": 5}, "holdout": {"0": 2}})


def test_counts_are_by_label_as_a_number() -> None:
    assert ENROLLED.counts(Split.TRAIN) == {0: 7, 10: 5}
    assert ENROLLED.counts(Split.HOLDOUT) == {0: 2}
    assert (ENROLLED.training_samples, ENROLLED.holdout_samples) == (12, 2)


def test_there_are_none_until_it_is_enrolled() -> None:
    enrolling = RegisteredModel()
    assert enrolling.counts(Split.TRAIN) == {}
    assert (enrolling.training_samples, enrolling.holdout_samples) == (0, 0)
