"""What a report says, piece by piece, as its readers want it: cohorts, costs, rungs.

Nothing is judged here, that has been done; the figures that decided are picked out of the document
(`models/documents`) and put side by side, base and candidate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from app.reports import words
from app.reports.estimates import Estimate, deciding, in_words, value_of
from models import documents
from models.documents import Closeness, Rule, Verdict

# What each rule asks of a cohort, and the figure that it goes by.
_RULES = {
    Rule.LIKE_UNSEEN: ("must look like unseen samples of its labels", "attack area, target 0.5"),
    Rule.EXPECTED: (
        "must be recognised as by a network that was never taught them, about {expected}",
        "{on} samples of {whose} recognised",
    ),
    Rule.CHANCE: (
        "nothing or next to nothing of the label stays: must not be recognised",
        "{on} samples recognised",
    ),
}
# How a cohort stands to its target: a sign, and words for one who does not see it.
_STANDINGS = {
    (Rule.LIKE_UNSEEN, Closeness.ALIKE): ("✓", "not told apart from unseen samples"),
    (Rule.LIKE_UNSEEN, Closeness.FAMILIAR): ("✗", "more familiar than unseen samples"),
    (Rule.LIKE_UNSEEN, Closeness.CONSPICUOUS): ("✗", "stranger than unseen samples"),
    (Rule.LIKE_UNSEEN, Closeness.UNDECIDABLE): ("?", "too few unseen samples to tell"),
    (Rule.EXPECTED, Closeness.ALIKE): ("✓", "recognised about as often as expected"),
    (Rule.EXPECTED, Closeness.FAMILIAR): ("✗", "recognised more often than expected"),
    (Rule.EXPECTED, Closeness.CONSPICUOUS): ("✗", "recognised less often than expected"),
    (Rule.EXPECTED, Closeness.UNDECIDABLE): ("?", "too few samples to tell"),
    (Rule.CHANCE, Closeness.ALIKE): ("✓", "not recognised"),
    (Rule.CHANCE, Closeness.FAMILIAR): ("✗", "still recognised"),
    (Rule.CHANCE, Closeness.UNDECIDABLE): ("?", "too few unseen samples to tell"),
}
# The same where it is accepted although it is beside its target.
_ACCEPTED = {
    (Rule.EXPECTED, Closeness.CONSPICUOUS): ("✓", "recognised somewhat less often than expected"),
    (Rule.CHANCE, Closeness.FAMILIAR): ("✓", "hardly recognised: no more than chance would"),
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
    # Of a label that is gone: what is recognised with the base's last layer put back.
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


def cohorts(verdict: Verdict) -> list[CohortFinding]:
    """Every cohort, as the candidate that was taken treats it."""
    return [_cohort(cohort) for cohort in verdict.cohorts]


def _cohort(cohort: documents.CohortVerdict) -> CohortFinding:
    asked, figure = _RULES[cohort.rule]
    candidate, expectation = cohort.candidate, cohort.expectation
    whose = "the kind" if expectation and expectation.of_kind else "its labels"
    return CohortFinding(
        title=words.title(cohort.name),
        samples=cohort.samples,
        labels=cohort.labels,
        alpha=cohort.selection,
        strength=cohort.strength,
        dampened=cohort.dampened,
        rule=asked.format(expected=words.percent(candidate.expected or 0.0)),
        figure=figure.format(on=candidate.recognised_on, whose=whose),
        base=_standing(cohort.rule, cohort.base),
        candidate=_standing(cohort.rule, candidate),
        last_layer_restored=in_words(cohort.last_layer_restored),
    )


def pool(verdict: Verdict) -> PoolFinding | None:
    """The cohorts that are judged together too, if any are."""
    found = verdict.pool
    if found is None:
        return None
    labels = (c.labels for c in verdict.cohorts if c.name in found.cohorts)
    return PoolFinding(
        title=f"{len(found.cohorts)} cohorts together",
        labels=sorted(chain.from_iterable(labels)),
        figure=_RULES[Rule.LIKE_UNSEEN][1],
        base=_standing(Rule.LIKE_UNSEEN, found.base),
        candidate=_standing(Rule.LIKE_UNSEEN, found.candidate),
    )


def _standing(rule: Rule, standing: documents.Standing) -> Standing:
    """By the figure of the cohort's rule, and in the words of the one that decided."""
    place = standing.rule, standing.closeness
    accepted = _ACCEPTED.get(place) if standing.accepted else None
    sign, said = accepted or _STANDINGS[place]
    attack, by_attack = standing.attack, rule is Rule.LIKE_UNSEEN
    if attack and not by_attack and standing.rule is Rule.LIKE_UNSEEN:
        # Its like are recognised as they should be, and it is told apart from them all the same.
        said = f"{said}: attack area {words.area(attack.area.value)}, target 0.5"
    if standing.by_gap and standing.gap:
        more = "more" if standing.gap.gap > 0 else "fewer"
        said = f"{said}: {words.points(abs(standing.gap.gap))} points {more} are recognised"
    return Standing(
        figure=in_words(deciding(rule, standing), words.area if by_attack else words.percent),
        unseen=attack.unseen if attack and by_attack else None,
        accuracy=in_words(standing.accuracy),
        sign=sign,
        words=said,
    )


def costs(verdict: Verdict) -> list[Cost]:
    """What forgetting has cost those who stay."""
    gate = verdict.policy.gate
    worst = verdict.taken.worst_label
    found = [
        _cost(
            verdict,
            "Retained samples",
            "training samples that nobody asked to forget",
            lambda figures: figures.retained.accuracy,
            gate.max_retained_fall,
        ),
        _cost(
            verdict,
            "Unseen samples",
            of_retained_labels(
                verdict, "holdout samples, never trained on, of the labels that are still retained"
            ),
            lambda figures: figures.holdout_of_retained_labels.accuracy,
            gate.max_holdout_fall,
        ),
    ]
    if worst:
        found.append(
            _cost(
                verdict,
                f"Worst label: {worst.label}",
                "retained samples of the label whose accuracy fell furthest",
                lambda figures: figures.by_label[worst.label].retained.accuracy,
                gate.max_class_fall,
            )
        )
    return found


def uncounted(verdict: Verdict) -> str:
    """Of which unseen samples no fall is counted; nothing if there are none.

    A network without the forgotten ones would lose them too.
    """
    excused = verdict.holdout_excused
    if not excused:
        return ""
    each = (f"{excused[label]:,} of label {label}" for label in sorted(excused))
    total = words.samples(sum(excused.values()))
    return f"not counted: {total} like the forgotten ones ({', '.join(each)})"


def of_retained_labels(verdict: Verdict, meaning: str) -> str:
    """What a figure on unseen samples of retained labels means, and what it leaves out."""
    return "; ".join(filter(None, (meaning, uncounted(verdict))))


def _cost(
    verdict: Verdict,
    what: str,
    meaning: str,
    pick: Callable[[documents.Figures], documents.Estimate | None],
    allowed: float,
) -> Cost:
    base, candidate = pick(verdict.figures.base), pick(verdict.figures.candidate)
    return Cost(
        what=what,
        meaning=meaning,
        base=in_words(base),
        candidate=in_words(candidate),
        change=words.change(value_of(base), value_of(candidate)),
        allowed=words.change(allowed, 0.0),
    )


def labels(verdict: Verdict) -> list[LabelFinding]:
    """Every label of which there are samples in a probe, in order."""
    before, after = verdict.figures.base.by_label, verdict.figures.candidate.by_label
    forgotten = {label for cohort in verdict.cohorts for label in cohort.labels}
    return [
        LabelFinding(
            label,
            label in forgotten,
            (
                in_words(before[label].retained.accuracy),
                in_words(after[label].retained.accuracy),
            ),
            (in_words(before[label].holdout.accuracy), in_words(after[label].holdout.accuracy)),
        )
        for label in sorted(before)
    ]
