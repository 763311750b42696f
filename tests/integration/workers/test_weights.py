"""Weights that do not fit, or are none: the tensor is named, and nothing is executed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import Digits
from tests.integration.workers.enrolment.test_pipeline import fewer
from tests.integration.workers.enrolment.test_refusals import refusal

Tensors = dict[str, torch.Tensor]
TENSOR = "stages.1.conv2.weight"


def _without(tensors: Tensors) -> None:
    del tensors[TENSOR]


def _with_another(tensors: Tensors) -> None:
    tensors["stages.9.weight"] = torch.zeros(1)


def _reshaped(tensors: Tensors) -> None:
    tensors[TENSOR] = tensors[TENSOR].flatten()


def _halved(tensors: Tensors) -> None:
    tensors[TENSOR] = tensors[TENSOR].half()


def _doubled(tensors: Tensors) -> None:
    tensors[TENSOR] = tensors[TENSOR].double()


def _not_a_number(tensors: Tensors) -> None:
    tensors[TENSOR].view(-1)[17] = float("nan")


def _infinite(tensors: Tensors) -> None:
    tensors[TENSOR].view(-1)[17] = float("-inf")


MISMATCHES: dict[str, tuple[Callable[[Tensors], None], list[str]]] = {
    "missing": (_without, [f"'{TENSOR}'", "lack"]),
    "unexpected": (_with_another, ["'stages.9.weight'", "does not have"]),
    "another shape": (_reshaped, [f"'{TENSOR}'", "shape [9216]", "[32, 32, 3, 3]"]),
    "half precision": (_halved, [f"'{TENSOR}'", "float16", "float32"]),
    "double precision": (_doubled, [f"'{TENSOR}'", "float64", "float32"]),
    "not a number": (_not_a_number, [f"'{TENSOR}'", "NaN"]),
    "infinite": (_infinite, [f"'{TENSOR}'", "infinity"]),
}


@pytest.fixture
def enrolment(digits: Digits, tmp_path: Path) -> Enrolment:
    changed = fewer(digits, tmp_path)
    return changed.model_copy(update={"weights": str(tmp_path / "weights.safetensors")})


@pytest.mark.parametrize("case", MISMATCHES)
def test_weights_that_do_not_fit_name_the_tensor(
    settings: Settings, digits: Digits, enrolment: Enrolment, case: str
) -> None:
    change, words = MISMATCHES[case]
    tensors = load_file(digits.enrolment.weights)
    change(tensors)
    save_file(tensors, enrolment.weights)
    failure = refusal(settings, enrolment)
    assert failure["kind"] == "weights-mismatch"
    assert all(word in failure["detail"] for word in words), failure["detail"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_and_not_opened(
    settings: Settings, digits: Digits, enrolment: Enrolment, tmp_path: Path, zipped: bool
) -> None:
    tensors = load_file(digits.enrolment.weights)
    torch.save(
        tensors | {"trap": _Trap(tmp_path / "executed")},
        enrolment.weights,
        _use_new_zipfile_serialization=zipped,
    )
    failure = refusal(settings, enrolment)
    assert failure["kind"] == "weights-unreadable"
    assert "pickle" in failure["detail"]
    assert "safetensors" in failure["detail"]
    assert not (tmp_path / "executed").exists()


class _Trap:
    """Leaves a file where somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_truncated_weights_are_refused(
    settings: Settings, digits: Digits, enrolment: Enrolment, length: int
) -> None:
    Path(enrolment.weights).write_bytes(Path(digits.enrolment.weights).read_bytes()[:length])
    failure = refusal(settings, enrolment)
    assert failure["kind"] == "weights-unreadable"
    assert enrolment.weights in failure["detail"]


def test_weights_that_are_something_else_are_refused(
    settings: Settings, enrolment: Enrolment
) -> None:
    Path(enrolment.weights).write_text("<html>404</html>" * 100)
    assert refusal(settings, enrolment)["kind"] == "weights-unreadable"


def test_weights_that_are_not_there_are_named(settings: Settings, enrolment: Enrolment) -> None:
    failure = refusal(settings, enrolment)
    assert failure["kind"] == "weights-unreadable"
    assert f"There is no file {enrolment.weights}" in failure["detail"]


def test_weights_that_are_a_folder_are_refused(settings: Settings, enrolment: Enrolment) -> None:
    Path(enrolment.weights).mkdir()
    failure = refusal(settings, enrolment)
    assert failure["kind"] == "weights-unreadable"
    assert enrolment.weights in failure["detail"]
