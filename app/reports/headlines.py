"""How a run ended, in words for somebody who has never heard of unlearning."""

from dataclasses import dataclass, replace

from app.reports import words
from models.documents import Decision, Rejection, Report, ReportedRun, Rule, Verdict

RETRAIN = "retraining without the forgotten samples is advised"


@dataclass(frozen=True)
class Headline:
    """The first thing that is read. `tone` is good, caution or stop."""

    sign: str
    tone: str
    title: str
    explanation: str


@dataclass(frozen=True)
class _Outcome:
    sign: str
    tone: str
    title: str
    # The title of a dry run, which has changed nothing.
    would: str
    explanation: str


_OUTCOMES = {
    Decision.PUBLISHED: _Outcome(
        "✓",
        "good",
        "Forgotten, and published as version {version}",
        "These samples could be forgotten",
        "{forgotten}, as far as the probe can tell, and it costs no more than the policy allows. "
        "This concerns its answers; what is left in lower layers is not judged.",
    ),
    Decision.NO_DETECTABLE_INFLUENCE: _Outcome(
        "✓",
        "good",
        "No influence was found; published as version {version} as a precaution",
        "No influence of these samples was found",
        "The base already treated them like samples that it has never seen, or so nearly that the "
        "policy makes no difference, as far as the probe can tell. So it cannot be shown that "
        "anything was there, or that it is gone. Of few samples that is nearly always so.",
    ),
    Decision.PUBLISHED_SHORT: _Outcome(
        "!",
        "caution",
        "Published as version {version}, but not fully forgotten",
        "These samples would not be fully forgotten, and published all the same",
        "The candidate still shows that it was trained on some of the samples, or it cannot be "
        "told whether it does. Such samples are marked as weakened, not as forgotten.",
    ),
    Decision.NEEDS_REVIEW: _Outcome(
        "!",
        "stop",
        "Nothing is published: a person must decide",
        "A person would have to decide",
        "No candidate that was tried both forgets enough and costs no more than the policy "
        "allows. The figures are those of the one that came nearest.",
    ),
    Decision.UNDECIDABLE: _Outcome(
        "?",
        "stop",
        "Nothing is published: there is too little to judge by",
        "There is too little to judge by, and a person would have to decide",
        "The policy asks for more samples to compare with than there are, so it cannot be told "
        "whether anything was forgotten, or at what cost.",
    ),
}


def headline(report: Report) -> Headline:
    """What the page begins with: what a person has decided, else what the gate has."""
    run, verdict = report.run, report.verdict
    if run.state in ("approved", "rejected"):
        return _reviewed(run)
    outcome = _OUTCOMES[verdict.outcome]
    if run.mode == "dry_run":
        title = f"Dry run: {outcome.would[0].lower()}{outcome.would[1:]}"
    else:
        title = outcome.title.format(version=run.version)
    if run.carries_out:
        return _approved(Headline(outcome.sign, outcome.tone, title, ""), run, verdict)
    explanation = outcome.explanation.format(forgotten=_forgotten(verdict))
    return Headline(outcome.sign, outcome.tone, title, explanation)


def _forgotten(verdict: Verdict) -> str:
    """What it means that a candidate has forgotten, by the rules that decided."""
    by_chance = [cohort.candidate.rule is Rule.CHANCE for cohort in verdict.cohorts]
    if not any(by_chance):
        return "The candidate treats them like samples that the network has never seen"
    if all(by_chance):
        return "The candidate recognises no more of these labels than chance would"
    return (
        "Of labels that are forgotten whole the candidate recognises no more than chance would; "
        "the others it treats like samples that the network has never seen"
    )


def _approved(found: Headline, run: ReportedRun, verdict: Verdict) -> Headline:
    """Of a run that carries out what a person approved, which the gate may be against."""
    approved = f"A person approved these settings in a review of run {run.carries_out}."
    if not verdict.reasons:
        return replace(found, explanation=f"{approved} Nothing speaks against them.")
    return Headline(
        "!",
        "caution",
        f"Published as version {run.version} by a person's decision, against the gate",
        f"{approved} What speaks against them is listed here. Samples that the network still gives "
        "away, or of which it cannot be told, are marked as weakened, not as forgotten.",
    )


def _reviewed(run: ReportedRun) -> Headline:
    if isinstance(run.review, Rejection):
        return Headline(
            "✗",
            "stop",
            f"Rejected by {run.review.by}: nothing is published",
            f"The samples stay in the network. The reason given: {run.review.reason}",
        )
    assert run.review is not None
    return Headline(
        "✓",
        "caution",
        f"Approved by {run.review.by}: rung {run.review.rung} of the ladder",
        "Another run carries that out and publishes. What follows is what there was to decide on.",
    )


def request(report: Report) -> str:
    """What was asked, in a sentence or two."""
    run, asked, cohorts = report.run, report.verdict.asked, report.verdict.cohorts
    items, total = words.samples(run.items), sum(cohort.samples for cohort in cohorts)
    kinds = [
        (asked.training, "that it was trained on"),
        (asked.holdout, "that it was never trained on, and that have nothing to forget"),
        (asked.unreadable, "that cannot be used, for the reasons given with them"),
    ]
    named = [f"{count:,} {what}" for count, what in kinds if count]
    if run.mode == "dry_run":
        said = f"It was asked what it would cost “{run.model}” to forget {items}."
    else:
        said = f"It was asked to make “{run.model}” forget {items}."
    if len(named) > 1:
        said = f"{said} Among them are {', and '.join(named)}."
    return (
        f"{said} With all earlier deletions that makes {words.counted(total, 'training sample')}, "
        f"in {words.counted(len(cohorts), 'cohort')}: groups that are dampened together."
    )


def budget(verdict: Verdict) -> str:
    """How much of the damage that deletions may do in all is done."""
    allowed, spent = verdict.damage_budget.allowed, verdict.damage_budget.spent
    said = f"{words.points(spent)} of {words.points(allowed)} points are spent"
    return f"{said}; {RETRAIN}" if verdict.damage_budget.retraining_advised else said
