"""Every digit several times: then most labels are large enough for sums of their own."""

from pathlib import Path

import numpy as np

from models.specifications import Enrolment
from tests.conftest import Digits

COPIES = 6
# A label that has them, and the one that has none.
LARGE, SMALL = 3, 4


def several(digits: Digits, folder: Path) -> Enrolment:
    """Every digit several times, a little darker each time."""
    path = folder / "several.npz"
    with np.load(Path(digits.enrolment.dataset.path)) as file:  # type: ignore[union-attr]
        arrays = {key: file[key] for key in file}
    copies = range(COPIES)
    np.savez(
        path,
        ids=np.array([f"{name}-{copy}" for copy in copies for name in arrays["ids"]]),
        images=np.concatenate([arrays["images"] * (1 - copy / 50) for copy in copies]),
        labels=np.tile(arrays["labels"], COPIES),
        splits=np.tile(arrays["splits"], COPIES),
    )
    dataset = digits.enrolment.dataset.model_copy(update={"path": str(path)})
    return digits.enrolment.model_copy(update={"dataset": dataset})


def ids_of(digits: Digits, label: int = LARGE) -> list[str]:
    """All training samples of a label; every tenth digit is holdout."""
    return [
        f"{name}-{copy}"
        for copy in range(COPIES)
        for name in digits.of_label(label)
        if int(name.split("-")[1]) % 10
    ]
