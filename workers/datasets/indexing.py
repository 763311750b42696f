"""What enrolment does with an index: checks, the holdout, probe ranks and the manifest digest.

All of it is meant for millions of samples, so loops over them do next to nothing.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetUnreadable, DuplicateSamples, InvalidSampleId, LabelOutOfRange
from models.records.sample import MAX_SAMPLE_ID
from models.records.states import Split
from models.specifications import HoldoutSpec
from workers.datasets.source import SampleIndex

# No control characters (C0, DEL, C1) and no unpaired surrogates, which UTF-8 cannot carry.
VALID_SAMPLE_ID = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_SAMPLE_ID}}}")

NAMED = 3

# Two draws from one seed must not be the same draw.
HOLDOUT_DRAW, PROBE_DRAW = 0, 1


def checked_index(index: SampleIndex, num_classes: int) -> None:
    """Refuse an index that cannot be enrolled.

    Raises:
        DatasetUnreadable: there are no samples.
        InvalidSampleId: one is empty, too long, or holds what cannot be printed or stored.
        DuplicateSamples: two samples have the same sample ID.
        LabelOutOfRange: a label is not in 0 … `num_classes` - 1.

    """
    if not index.sample_ids:
        raise DatasetUnreadable("The dataset has no samples.")
    _check_sample_ids(index.sample_ids)
    _check_unique(index.sample_ids)
    _check_labels(index.labels, num_classes)


def split_samples(index: SampleIndex, holdout: HoldoutSpec) -> list[Split]:
    """The declared splits; without any, a seeded draw of round(fraction · count) of each label.

    The draw depends on the labels, their order and the seed alone. Halves round to even.
    """
    if index.splits is not None:
        return index.splits
    count = len(index.labels)
    _, groups, sizes = np.unique(index.labels, return_inverse=True, return_counts=True)
    shuffled = np.lexsort((_random(count, holdout.seed, HOLDOUT_DRAW), groups))
    # Samples now lie label by label, shuffled within each: the first of each are held out.
    starts = np.cumsum(sizes) - sizes
    place = np.arange(count) - starts[groups[shuffled]]
    held_out = np.zeros(count, dtype=bool)
    held_out[shuffled] = place < np.rint(holdout.fraction * sizes)[groups[shuffled]]
    return [Split.HOLDOUT if held else Split.TRAIN for held in held_out.tolist()]


def probe_ranks(n: int, seed: int) -> NDArray[np.int64]:
    """A permutation of 0 … n - 1 as int64 [n], the same for the same seed."""
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.argsort(_random(n, seed, PROBE_DRAW), kind="stable")] = np.arange(n)
    return ranks


def manifest_digest(index: SampleIndex, splits: Sequence[Split]) -> str:
    r"""SHA-256, in hexadecimal, of what was enrolled and in which order; of no pixels.

    The hashed bytes are one line per sample, in dataset order:

        {position},{label},{split},{length},{sample_id}\n

    in UTF-8, numbers in decimal, `position` counted from 0, `split` train or holdout. `length` is
    the number of bytes of `sample_id`, so that no sample ID can pass for the end of its line.
    """
    digest = hashlib.sha256()
    rows = zip(index.sample_ids, index.labels.tolist(), splits, strict=True)
    for position, (sample_id, label, split) in enumerate(rows):
        text = sample_id.encode()
        digest.update(b"%d,%d,%b,%d,%b\n" % (position, label, split.encode(), len(text), text))
    return digest.hexdigest()


def _random(n: int, seed: int, draw: int) -> NDArray[np.uint64]:
    # Raw output of the bit generator: the stream that numpy promises never to change.
    generator = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(draw,)))
    return np.asarray(generator.random_raw(n), dtype=np.uint64)


def _check_sample_ids(sample_ids: Sequence[str]) -> None:
    valid = VALID_SAMPLE_ID.fullmatch
    for position, sample_id in enumerate(sample_ids):
        if not valid(sample_id):
            raise InvalidSampleId(f"The sample ID at position {position} {_fault(sample_id)}.")


def _fault(sample_id: str) -> str:
    if not sample_id:
        return "is empty"
    if len(sample_id) > MAX_SAMPLE_ID:
        return f"has {len(sample_id)} characters; at most {MAX_SAMPLE_ID} are allowed"
    return f"holds a control character or an unpaired surrogate: {sample_id!a}"


def _check_unique(sample_ids: Sequence[str]) -> None:
    if len(set(sample_ids)) == len(sample_ids):
        return
    repeated = [sample_id for sample_id, count in Counter(sample_ids).items() if count > 1]
    named = ", ".join(repeated[:NAMED]) + (", …" if len(repeated) > NAMED else "")
    raise DuplicateSamples(f"{len(repeated)} sample IDs occur more than once: {named}")


def _check_labels(labels: NDArray[np.int64], num_classes: int) -> None:
    outside = (labels < 0) | (labels >= num_classes)
    if outside.any():
        position = int(outside.argmax())
        raise LabelOutOfRange(
            f"The sample at position {position} has the label {labels[position]}, but the network "
            f"has {num_classes} classes: labels go from 0 to {num_classes - 1}."
        )
