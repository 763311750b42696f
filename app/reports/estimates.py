"""Figures of the document: picked out, and put in words with their intervals and counts."""

from dataclasses import dataclass

from app.reports import words
from models.records.base import Json


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, in words, and the number of samples it rests on."""

    value: str
    interval: str
    count: int


def read_estimate(found: Json | None, show: words.Show = words.percent) -> Estimate | None:
    """An estimate of the document; None where nothing was measured."""
    if found is None:
        return None
    interval = words.interval(found["low"], found["high"], show)
    return Estimate(show(found["value"]), interval, found["count"])


def value_of(found: Json | None) -> float | None:
    """The figure alone."""
    return None if found is None else found["value"]


def deciding(rule: str, standing: Json) -> Json | None:
    """The estimate of the document that a rule goes by."""
    attack: Json | None = standing["attack"]
    recognised: Json | None = standing["recognised"]
    if rule == "like_unseen":
        return attack and attack["area"]
    return recognised
