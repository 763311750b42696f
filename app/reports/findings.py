"""What a report says, piece by piece, as its readers want it: cohorts, costs, rungs.

Nothing is judged here, that has been done; the figures that decided are picked out of the document
(document.py) and put side by side, base and candidate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from app.reports import words
from app.reports.estimates import Estimate, deciding, read_estimate, value_of
from models.records.base import Json

# What each rule asks of a cohort, and the figure that it goes by.
_RULES = {
    "like_unseen": ("must look like unseen samples of its labels", "attack area, target 0.5"),
    "expected": (
        "must be recognised as by a network that was never taught them, about {expected}",
        "{on} samples of the kind recognised",
    ),
    "chance": (
        "nothing or next to nothing of the label stays: must not be recognised",
        "{on} samples recognised",
    ),
}
# How a cohort stands to its target: a sign, and words for one who does not see it.
_STANDINGS = {
    ("like_unseen", "alike"): ("✓", "like unseen samples"),
    ("like_unseen", "familiar"): ("✗", "more familiar than unseen samples"),
    ("like_unseen", "conspicuous"): ("✗", "stranger than unseen samples"),
    ("like_unseen", "undecidable"): ("?", "too few unseen samples to tell"),
    ("expected", "alike"): ("✓", "recognised about as often as expected"),
    ("expected", "familiar"): ("✗", "recognised more often than expected"),
    ("expected", "conspicuous"): ("✗", "recognised less often than expected"),
    ("expected", "undecidable"): ("?", "too few samples to tell"),
    ("chance", "alike"): ("✓", "not recognised"),
    ("chance", "familiar"): ("✗", "still recognised"),
    ("chance", "undecidable"): ("?", "too few unseen samples to tell"),
}
# The same where it is accepted although it is beside its target.
_ACCEPTED = {
    ("expected", "conspicuous"): ("✓", "recognised somewhat less often than expected"),
    ("chance", "familiar"): ("✓", "recognised no more than by chance"),
}


@dataclass(frozen=True)
class Standing:
    """How one network treats one cohort: the figure that decides, and what follows from it."""

    figure: Estimate | None
    # Unseen samples that the forgotten ones are compared with.
    unseen: int | None
    accuracy: Estimate | None
    sign: str
    words: str


@dataclass(frozen=True)
class CohortFinding:
    """What became of one cohort."""

    title: str
    samples: int
    labels: list[int]
    alpha: float
    strength: float
    dampened: int
    rule: str
    figure: str
    base: Standing
    candidate: Standing
    # Of a label that is gone: what is recognised with the base's last layer put back. Earlier
    # documents do not have it.
    last_layer_restored: Estimate | None


@dataclass(frozen=True)
class PoolFinding:
    """What becomes of several cohorts that show nothing one by one, taken together."""

    title: str
    labels: list[int]
    figure: str
    base: Standing
    candidate: Standing


@dataclass(frozen=True)
class Cost:
    """Accuracy on samples that were not to be forgotten; `allowed` is the policy's bound."""

    what: str
    meaning: str
    base: Estimate | None
    candidate: Estimate | None
    change: str
    allowed: str


@dataclass(frozen=True)
class LabelFinding:
    """Accuracy on the samples of one label."""

    label: int
    forgotten: bool
    retained: tuple[Estimate | None, Estimate | None]
    holdout: tuple[Estimate | None, Estimate | None]


def cohorts(verdict: Json) -> list[CohortFinding]:
    """Every cohort, as the candidate that was taken treats it."""
    return [_cohort(cohort) for cohort in verdict["cohorts"]]


def _cohort(cohort: Json) -> CohortFinding:
    asked, figure = _RULES[cohort["rule"]]
    candidate = cohort["candidate"]
    return CohortFinding(
        title=words.title(cohort["name"]),
        samples=cohort["samples"],
        labels=cohort["labels"],
        alpha=cohort["alpha"],
        strength=cohort["lambda"],
        dampened=cohort["dampened"],
        rule=asked.format(expected=words.percent(candidate["expected"] or 0.0)),
        figure=figure.format(on=candidate["recognised_on"]),
        base=_standing(cohort["rule"], cohort["base"]),
        candidate=_standing(cohort["rule"], candidate),
        last_layer_restored=read_estimate(cohort.get("last_layer_restored")),
    )


def pool(verdict: Json) -> PoolFinding | None:
    """The cohorts that are judged together too, if any are. Earlier documents do not say."""
    found = verdict.get("pool")
    if not found:
        return None
    labels = (c["labels"] for c in verdict["cohorts"] if c["name"] in found["cohorts"])
    return PoolFinding(
        title=f"{len(found['cohorts'])} cohorts together",
        labels=sorted(chain.from_iterable(labels)),
        figure=_RULES["like_unseen"][1],
        base=_standing("like_unseen", found["base"]),
        candidate=_standing("like_unseen", found["candidate"]),
    )


def _standing(rule: str, standing: Json) -> Standing:
    """By the figure of the cohort's rule, and in the words of the one that decided."""
    place = standing["rule"], standing["closeness"]
    accepted = _ACCEPTED.get(place) if standing["accepted"] else None
    sign, said = accepted or _STANDINGS[place]
    attack, by_attack = standing["attack"], rule == "like_unseen"
    return Standing(
        figure=read_estimate(deciding(rule, standing), words.area if by_attack else words.percent),
        unseen=attack["unseen"] if attack and by_attack else None,
        accuracy=read_estimate(standing["accuracy"]),
        sign=sign,
        words=said,
    )


def costs(verdict: Json) -> list[Cost]:
    """What forgetting has cost those who stay."""
    gate = verdict["policy"]["gate"]
    worst = verdict["ladder"][verdict["rung"]]["worst_label"]
    found = [
        _cost(
            verdict,
            "Retained samples",
            "training samples that nobody asked to forget",
            lambda figures: figures["retained"]["accuracy"],
            gate["max_retained_fall"],
        ),
        _cost(
            verdict,
            "Unseen samples",
            of_retained_labels(
                verdict, "holdout samples, never trained on, of the labels that are still retained"
            ),
            lambda figures: figures["holdout_of_retained_labels"]["accuracy"],
            gate["max_holdout_fall"],
        ),
    ]
    if worst:
        found.append(
            _cost(
                verdict,
                f"Worst label: {worst['label']}",
                "retained samples of the label whose accuracy fell furthest",
                lambda figures: figures["by_label"][str(worst["label"])]["retained"]["accuracy"],
                gate["max_class_fall"],
            )
        )
    return found


def uncounted(verdict: Json) -> str:
    """Of which unseen samples no fall is counted; nothing if there are none.

    A network without the forgotten ones would lose them too. Earlier documents do not say.
    """
    excused = verdict.get("holdout_excused") or {}
    if not excused:
        return ""
    each = (f"{excused[label]:,} of label {label}" for label in sorted(excused, key=int))
    total = words.samples(sum(excused.values()))
    return f"not counted: {total} like the forgotten ones ({', '.join(each)})"


def of_retained_labels(verdict: Json, meaning: str) -> str:
    """What a figure on unseen samples of retained labels means, and what it leaves out."""
    return "; ".join(filter(None, (meaning, uncounted(verdict))))


def _cost(
    verdict: Json,
    what: str,
    meaning: str,
    pick: Callable[[Json], Json | None],
    allowed: float,
) -> Cost:
    base, candidate = (pick(verdict["figures"][network]) for network in ("base", "candidate"))
    return Cost(
        what=what,
        meaning=meaning,
        base=read_estimate(base),
        candidate=read_estimate(candidate),
        change=words.change(value_of(base), value_of(candidate)),
        allowed=words.change(allowed, 0.0),
    )


def labels(verdict: Json) -> list[LabelFinding]:
    """Every label of which there are samples in a probe, in order."""
    before, after = (verdict["figures"][network]["by_label"] for network in ("base", "candidate"))
    forgotten = {label for cohort in verdict["cohorts"] for label in cohort["labels"]}

    def pair(label: str, group: str) -> tuple[Estimate | None, Estimate | None]:
        return (
            read_estimate(before[label][group]["accuracy"]),
            read_estimate(after[label][group]["accuracy"]),
        )

    return [
        LabelFinding(
            int(label), int(label) in forgotten, pair(label, "retained"), pair(label, "holdout")
        )
        for label in sorted(before, key=int)
    ]
