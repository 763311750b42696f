"""The ladder of a run: its rungs, the candidates that were tried, side by side.

Rungs count from 0, as approvals of them do.
"""

from dataclasses import dataclass

from app.reports import words
from app.reports.estimates import Estimate, in_words
from models import documents
from models.documents import Verdict


@dataclass(frozen=True)
class Rung:
    """One candidate: its settings, what it costs, and what speaks against it."""

    number: int
    chosen: bool
    sign: str
    words: str
    # Of cohorts whose setting is not the same on every rung: title, α and λ.
    settings: list[tuple[str, float, float]]
    change_norm: float
    distance: float | None
    retained: documents.Fall | None
    unseen: documents.Fall | None
    worst: documents.LabelFall | None
    # Of cohorts whose labels are gone: title, and what is recognised with the base's last layer.
    restored: list[tuple[str, Estimate]]
    reasons: list[str]


def rungs(verdict: Verdict) -> list[Rung]:
    """Every candidate, in the order in which they were tried."""
    names = varied(verdict)
    return [_rung(verdict, number, names) for number in range(len(verdict.ladder))]


def varied(verdict: Verdict) -> list[str]:
    """The cohorts that were tried with more than one setting, by name."""
    return [
        cohort.name
        for cohort in verdict.cohorts
        if any(
            rung.settings[cohort.name] != verdict.ladder[0].settings[cohort.name]
            for rung in verdict.ladder
        )
    ]


def _rung(verdict: Verdict, number: int, names: list[str]) -> Rung:
    found = verdict.ladder[number]
    sign, said = _said_of(found)
    settings = ((name, found.settings[name]) for name in names)
    return Rung(
        number=number,
        chosen=number == verdict.rung,
        sign=sign,
        words=said,
        settings=[(words.title(name), each.selection, each.strength) for name, each in settings],
        change_norm=found.change_norm,
        distance=found.distance,
        retained=found.retained,
        unseen=found.holdout_of_retained_labels,
        worst=found.worst_label,
        restored=[
            (words.title(name), share)
            for name, estimate in found.last_layer_restored.items()
            if (share := in_words(estimate)) is not None
        ],
        reasons=[*found.damage, *found.shortfalls, *found.undecided],
    )


def _said_of(rung: documents.Rung) -> tuple[str, str]:
    sign, said = _verdict_on(rung)
    if rung.at_a_glance:
        said += ": a part of the probe left no doubt, and the rest was not looked at"
    return sign, said


def _verdict_on(rung: documents.Rung) -> tuple[str, str]:
    if rung.passes:
        return "✓", "passes"
    if rung.given_back:
        return "✗", "gives back what was forgotten, and cannot be approved"
    if rung.damage:
        return "✗", "costs too much"
    if rung.shortfalls:
        return "✗", "misses the target"
    return "?", "cannot be told"
