"""Declarations: frozen, strict, and checked before anything is built on them."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from models.specifications import Enrolment, Policy, Preprocessing

WHOLE: dict[str, Any] = {
    "name": "cats",
    "architecture": {"name": "resnet18", "num_classes": 10, "options": {"cifar_stem": True}},
    "weights": "/data/base.safetensors",
    "dataset": {"kind": "idx", "path": "/data"},
    "preprocessing": {"size": 28, "mean": [0], "std": [1]},
}


def _with(path: str, value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(WHOLE))
    *parents, last = path.split(".")
    place = changed
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return changed


def test_a_whole_declaration_survives_json() -> None:
    enrolment = Enrolment.model_validate(WHOLE)
    assert Enrolment.model_validate_json(enrolment.model_dump_json()) == enrolment
    assert Enrolment.model_validate(enrolment.model_dump(mode="json")) == enrolment


def test_a_fixed_method_survives_the_row_it_is_kept_in() -> None:
    policy = Policy.model_validate({"method": {"method": "fixed", "alpha": 5, "lambda": 0.5}})
    kept = policy.model_dump(mode="json", by_alias=True)
    assert kept["method"] == {"method": "fixed", "alpha": 5, "lambda": 0.5}
    assert Policy.model_validate(kept) == policy


@pytest.mark.parametrize(
    "path",
    ["surprise", "architecture.surprise", "dataset.surprise", "preprocessing.surprise",
     "holdout.surprise", "policy.surprise", "policy.gate.surprise", "policy.method.surprise"],
)  # fmt: skip
def test_an_unknown_field_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="surprise"):
        Enrolment.model_validate(_with(path, 1))


@pytest.mark.parametrize("field", ["name", "weights", "policy"])
def test_a_declaration_does_not_change(field: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Enrolment.model_validate(WHOLE), field, None)


@pytest.mark.parametrize("name", ["", "Cats", "a/b", "../a", "-a", "a" * 64, "a\n", "ä", "a b"])
def test_a_name_that_no_path_could_hold_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Enrolment.model_validate(_with("name", name))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("architecture.num_classes", 1),
        ("architecture.num_classes", 2_000_000),
        ("architecture.num_classes", "ten"),
        ("architecture.name", ""),
        ("architecture.options", {"weights": ["a", "list"]}),
        ("weights", ""),
        ("weights", "  "),
        ("weights", "/data/base\0.safetensors"),
        ("dataset", {"kind": "pickles", "path": "/data"}),
        ("dataset", {"kind": "idx"}),
        ("dataset", {"path": "/data"}),
        ("dataset.path", "/data\0"),
        # PostgreSQL's JSON takes neither NUL nor NaN: refused here, or an error further on.
        ("architecture.name", "resnet\0"),
        ("architecture.options", {"width": "\0"}),
        ("architecture.options", {"width": float("inf")}),
        ("holdout.fraction", 0),
        ("holdout.fraction", 1),
        ("holdout.fraction", float("nan")),
        ("holdout.seed", -1),
        ("holdout.seed", 2**63),
        ("policy.probe_size", 9),
        ("policy.gate.max_retained_fall", 1.1),
        ("policy.gate.max_retained_fall", float("nan")),
        ("policy.method", {"method": "guess"}),
        ("policy.method", {"method": "fixed"}),
        ("policy.method", {"method": "fixed", "alpha": 0}),
        ("policy.method", {"method": "fixed", "alpha": float("inf")}),
        ("policy.method", {"method": "fixed", "alpha": 1, "lambda": 0}),
        ("policy.method", {"method": "fixed", "alpha": 1, "lambda": float("nan")}),
    ],
)
def test_a_value_without_meaning_is_refused(path: str, value: Any) -> None:
    changed: dict[str, Any] = dict(WHOLE)
    *parents, last = path.split(".")
    place = changed
    for parent in parents:
        place[parent] = dict(place.get(parent, {}))
        place = place[parent]
    place[last] = value
    with pytest.raises(ValidationError):
        Enrolment.model_validate(changed)


@pytest.mark.parametrize(
    "given",
    [
        {"size": 0},
        {"size": 4097},
        {"size": 8, "channels": 2},
        {"size": 8, "channels": 3, "mean": [0.1, 0.2]},
        {"size": 8, "channels": 1, "std": [1, 1, 1]},
        {"size": 8, "mean": []},
        {"size": 8, "std": [0]},
        {"size": 8, "std": [-1]},
        {"size": 8, "std": [float("nan")]},
        {"size": 8, "std": [float("inf")]},
        {"size": 8, "mean": [float("nan")]},
        {"size": 8, "mean": [float("inf")]},
    ],
)
def test_preprocessing_that_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"mean": [0], "std": [1], **given})


@pytest.mark.parametrize("missing", ["size", "mean", "std"])
def test_what_a_network_was_trained_with_is_not_guessed(missing: str) -> None:
    whole = {"size": 8, "mean": [0], "std": [1]}
    Preprocessing.model_validate(whole)
    with pytest.raises(ValidationError, match=missing):
        Preprocessing.model_validate({key: value for key, value in whole.items() if key != missing})


@pytest.mark.parametrize("channels", [1, 3])
def test_one_number_serves_every_channel(channels: int) -> None:
    given = {"size": 8, "channels": channels, "mean": [0.5], "std": [0.5] * channels}
    assert Preprocessing.model_validate(given).channels == channels
