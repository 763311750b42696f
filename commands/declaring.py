"""From the command line to an enrolment: words and numbers become what a client would post."""

import json
from pathlib import Path
from typing import Any

import click

from models.specifications import Enrolment


def enrolment_from(
    name: str,
    *,
    architecture: str,
    num_classes: int,
    options: tuple[str, ...],
    weights: str,
    dataset: str,
    size: int,
    channels: int,
    mean: str,
    std: str,
    holdout_fraction: float,
    holdout_seed: int,
    estimator: str,
    policy: Path | None,
) -> Enrolment:
    """The enrolment that the command line describes; pydantic's `ValidationError` if it is none."""
    return Enrolment.model_validate(
        {
            "name": name,
            "architecture": {
                "name": architecture,
                "num_classes": num_classes,
                "options": dict(_option(text) for text in options),
            },
            "weights": str(Path(weights).expanduser().absolute()),
            "dataset": _dataset(dataset),
            "preprocessing": {
                "size": size,
                "channels": channels,
                "mean": _numbers(mean),
                "std": _numbers(std),
            },
            "holdout": {"fraction": holdout_fraction, "seed": holdout_seed},
            "estimator": {"kind": estimator},
            "policy": _policy(policy),
        }
    )


def _numbers(text: str) -> list[float | str]:
    """What is no number stays as it is, and is refused with all else that is wrong."""
    found: list[float | str] = []
    for part in text.split(","):
        try:
            found.append(float(part))
        except ValueError:
            found.append(part)
    return found


def _dataset(text: str) -> dict[str, Any]:
    """`digits`, or `KIND:PATH`; the path of `images` is that of its manifest."""
    kind, separator, path = text.partition(":")
    if not separator:
        return {"kind": kind}
    absolute = str(Path(path).expanduser().absolute())
    return {"kind": kind, "manifest" if kind == "images" else "path": absolute}


def _policy(path: Path | None) -> Any:
    if path is None:
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise click.UsageError(f"{path} is not JSON: {error}") from error


def _option(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise click.UsageError(f"--option {text!r} is not of the form KEY=VALUE.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
