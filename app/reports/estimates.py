"""Figures of documents: picked out, and put in words with their intervals and counts."""

from dataclasses import dataclass

from app.reports import words
from models import documents
from models.documents import Rule


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, in words, and the number of samples it rests on."""

    value: str
    interval: str
    count: int


def in_words(found: documents.Estimate | None, show: words.Show = words.percent) -> Estimate | None:
    """An estimate of a document; None where nothing was measured."""
    if found is None:
        return None
    return Estimate(show(found.value), words.interval(found.low, found.high, show), found.count)


def value_of(found: documents.Estimate | None) -> float | None:
    """The figure alone."""
    return None if found is None else found.value


def deciding(rule: Rule, standing: documents.Standing) -> documents.Estimate | None:
    """The estimate that a rule goes by."""
    return area_of(standing.attack) if rule is Rule.LIKE_UNSEEN else standing.recognised


def area_of(attack: documents.LossAttack | None) -> documents.Estimate | None:
    """What an attack finds; None where there was nobody to compare with."""
    return None if attack is None else attack.area
