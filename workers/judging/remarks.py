"""What a reader of a verdict's figures must know and might overlook: a function for each remark."""

from collections import Counter
from collections.abc import Iterator

from models.documents import Closeness, Rule
from models.records import RequestMode, RunState
from workers.judging.candidates import Tuned
from workers.runs import Run
from workers.unlearning.gate import Gate
from workers.unlearning.gating import reasons

# Of an area whose interval is as wide as that next to nothing is known.
HARDLY_TELLS = 0.3


def remarks(run: Run, tuned: Tuned, state: RunState) -> Iterator[str]:
    """All that there is to say of a run that ends like this, in sentences."""
    dampened = any(tuned.mixture.by_parameter.values())
    if state is RunState.NO_DETECTABLE_INFLUENCE:
        done = "would be" if run.mode is RequestMode.DRY_RUN else "were"
        yield (
            "The base already treated these samples like unseen ones, as far as so many can tell."
            + (f" They {done} dampened for all the same, as a precaution." if dampened else "")
        )
    if not dampened:
        yield "With this setting no weight is selected: the weights stay those of the base."
    yield from _of_few(tuned)
    yield from _told_apart(tuned)
    yield from _surrogate_is_no_match(tuned)
    if run.approval is not None:
        yield f"Rung {run.approval.rung} was approved by {run.approval.by}."
    yield from _few_that_stay(run, tuned)
    yield from _accepted_before(tuned)
    yield from _left_below(tuned)
    yield from _excused(tuned)
    yield from _labels_untold(tuned)
    yield from _without_counterpart(tuned)
    yield from _not_seen(tuned)


def _of_few(tuned: Tuned) -> Iterator[str]:
    """Where the base shows nothing, and could hardly have shown anything."""
    for cohort, standing in tuned.gate.at_base.items():
        area = standing.attack.area if standing.attack else None
        if standing.closeness is Closeness.ALIKE and area and area.high - area.low > HARDLY_TELLS:
            yield (
                f"{cohort.title}: of {area.count} forgotten samples next to nothing can be told. "
                f"At the base the attack's area is from {area.low:.2f} to {area.high:.2f}."
            )


def _told_apart(tuned: Tuned) -> Iterator[str]:
    """Labels that are gone, by what does not decide about them."""
    for cohort, standing in tuned.chosen.trial.judgement.standings.items():
        area = standing.attack.area if standing.attack else None
        if standing.rule is Rule.CHANCE and area and not area.low <= 0.5 <= area.high:
            yield (
                f"{cohort.title}: the loss-based attack tells its forgotten samples from unseen "
                f"ones, with an area of {area.value:.3f} ({area.low:.3f} to {area.high:.3f}). Of a "
                "label that is gone that decides nothing: that nobody is recognised does."
            )


def excused_by_label(gate: Gate) -> dict[int, int]:
    """How many holdout samples of each label need not be recognised as they were, by label."""
    excused = gate.base.at(gate.probe.excused).labels.tolist()
    return dict(sorted(Counter(excused).items()))


def _surrogate_is_no_match(tuned: Tuned) -> Iterator[str]:
    surrogate = tuned.gate.surrogate
    if surrogate is not None and not surrogate.is_match:
        yield (
            "What a network without these samples would make of others like them could not be "
            f"estimated: of unseen samples a simple surrogate recognises "
            f"{100 * surrogate.accuracy:.1f} %, the network "
            f"{100 * surrogate.network_accuracy:.1f} %."
        )


def _few_that_stay(run: Run, tuned: Tuned) -> Iterator[str]:
    """Of labels that are taken for gone, although some samples stay."""
    for cohort in tuned.chosen.trial.settings:
        for label in cohort.labels:
            stay = run.trained[label] - cohort.count
            if label in tuned.gate.probe.gone and stay > 0:
                yield (
                    f"Training samples of label {label} that stay: {stay}. A network that was "
                    "taught nothing else of it would recognise few or none, so the label is taken "
                    "for gone."
                )


def _accepted_before(tuned: Tuned) -> Iterator[str]:
    judgement = tuned.chosen.trial.judgement
    for conceded in judgement.conceded:
        yield f"{conceded} That was accepted with an earlier version."
    if judgement.pooled and judgement.pooled.excused:
        for shown in reasons.together(judgement.pooled):
            yield f"{shown} This run forgets nothing more of them."


def _left_below(tuned: Tuned) -> Iterator[str]:
    judgement = tuned.chosen.trial.judgement
    for cohort, found in judgement.last_layer_restored.items():
        if cohort in judgement.shallow:
            yield (
                f"{cohort.title}: with the base's last layer put back, {100 * found.value:.1f} % "
                f"of {found.count} {judgement.standings[cohort].recognised_on} samples of it are "
                f"recognised; chance would be {100 / tuned.gate.probe.num_classes:.1f} %."
            )


def _excused(tuned: Tuned) -> Iterator[str]:
    for label, count in excused_by_label(tuned.gate).items():
        yield (
            f"Holdout samples of label {label} of which fewer may be recognised: {count}. So it "
            "would be without the forgotten ones, so their fall does not count as damage, however "
            "far it goes beyond what is expected."
        )


def _labels_untold(tuned: Tuned) -> Iterator[str]:
    """That no label falls too far is known of those with enough samples in the probe only."""
    found = tuned.chosen.trial.judgement.falls
    untold = found.untold(tuned.gate.bounds.falls)
    if untold:
        yield (
            f"Of {len(untold)} of {len(found.by_label)} labels no fall can be told: the retained "
            "probe has so few samples of each that they could all be lost without being noticed. "
            "A larger probe_size has more."
        )
    least = found.least_told(tuned.gate.bounds.falls)
    if least:
        first, last = (f"{100 * of(least.values()):.0f}" for of in (min, max))
        points = first if first == last else f"{first} to {last}"
        yield (
            f"Of {len(least)} of {len(found.by_label)} labels only a fall of {points} points or "
            "more can be told from chance: the retained probe has fewer than min_probe samples of "
            "each. A larger probe_size tells smaller ones."
        )


def _without_counterpart(tuned: Tuned) -> Iterator[str]:
    for cohort, standing in tuned.chosen.trial.judgement.standings.items():
        if standing.attack and standing.attack.unmatched:
            yield (
                f"{cohort.title}: {standing.attack.unmatched} forgotten samples are of labels "
                "without unseen samples to compare them with, so nothing is known of these."
            )


def _not_seen(tuned: Tuned) -> Iterator[str]:
    for cohort, standing in tuned.chosen.trial.judgement.standings.items():
        seen = standing.accuracy.count if standing.accuracy else 0
        missing = len(tuned.gate.probe.forgotten[cohort]) - seen
        if missing:
            yield (
                f"{cohort.title}: {missing} forgotten samples could not be looked at, because "
                "their images are gone, or are other ones by now."
            )
