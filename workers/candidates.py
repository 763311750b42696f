"""Making a candidate: α and λ for every cohort, and the base dampened with all of them together.

Cohorts influence one another a little: a class that is gone when dampened alone can come back when
others are dampened too. So the combination is looked at, and where a label that is forgotten whole
is still recognised, its strength is increased rung by rung. What is looked at are unseen samples of
that label, so that the outcome still depends on the set of forgotten samples alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import NothingRetained
from models.records import Split
from models.records.base import Json
from workers.claims import Run
from workers.probes import select_probe
from workers.resources import Resources
from workers.subjects import KeptSums, Position, Subject, read_on
from workers.unlearning.cohorts import Cohort, form_cohorts
from workers.unlearning.dampening import (
    Population,
    Weights,
    apply_factors,
    dampened_counts,
    tighten,
    unit_factors,
)
from workers.unlearning.importances import Sums, add_sums
from workers.unlearning.methods import METHODS
from workers.unlearning.tuning import MOST_RUNGS, Setting, most_recognised, strengthened
from workers.unlearning.verification import measure
from workers.verdicts import CohortSetting
from workers.weighing import Weighed

# Unseen samples of a label forgotten whole that its accuracy is measured on, at most.
WATCHED_PER_LABEL = 1000
# Sums of cohorts that are kept in memory between rungs, at most.
MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Tuned:
    """A candidate's weights, and how they came about."""

    weights: Weights
    cohorts: list[CohortSetting]
    dampened: dict[str, int]
    # All forgotten training samples per label, this run's included.
    forgotten: dict[int, int]
    # Labels of which nothing is retained.
    gone: set[int]
    # Every combination that was tried, in order.
    ladder: list[Json]


def tune(run: Run, subject: Subject, weighed: Weighed, resources: Resources) -> Tuned:
    """Choose α and λ for every cohort of all that is forgotten, and dampen the base with them.

    Raises `NothingRetained` if nothing but forgotten samples would be left.
    """
    kept = {**subject.forgotten, **weighed.updated}
    forgotten = {label: sums.count for label, sums in kept.items()}
    _require_retained(run, forgotten)
    gone = {label for label, count in forgotten.items() if count >= run.trained[label]}
    mixer = Mixer(run, subject, kept, weighed.at_hand, resources)
    watched = _watched(run, subject, gone, resources)
    candidate = mixer.mix({})
    ladder: list[Json] = []
    for rung in range(MOST_RUNGS + 1):
        accuracy = _accuracy(subject, candidate.weights, watched)
        ladder.append(_rung(candidate.settings, accuracy))
        slipped = _slipped(run, candidate.settings, accuracy)
        if not slipped or rung == MOST_RUNGS:
            break
        candidate = mixer.mix(
            {
                cohort: strengthened(setting) if cohort in slipped else setting
                for cohort, setting in candidate.settings.items()
            }
        )
    return Tuned(
        weights=candidate.weights,
        cohorts=candidate.cohorts,
        dampened=dampened_counts(candidate.factors),
        forgotten=forgotten,
        gone=gone,
        ladder=ladder,
    )


@dataclass(frozen=True)
class Mixture:
    """The base dampened with one setting for each cohort."""

    settings: dict[Cohort, Setting]
    cohorts: list[CohortSetting]
    factors: Sums
    weights: Weights


class Mixer:
    """Combines cohorts; their sums are added up from the store, and kept while there is room."""

    def __init__(
        self,
        run: Run,
        subject: Subject,
        kept: Mapping[int, KeptSums],
        at_hand: Mapping[int, Sums],
        resources: Resources,
    ) -> None:
        self._method = run.policy.method
        self._total = sum(run.trained.values())
        self._cohorts = form_cohorts({k: sums.count for k, sums in kept.items()}, run.trained)
        self._subject = subject
        self._kept = kept
        self._at_hand = at_hand
        self._resources = resources
        self._added_up: dict[Cohort, Sums] = {}

    def mix(self, settings: Mapping[Cohort, Setting]) -> Mixture:
        """Dampen with these settings; cohorts without one get that of the policy's method."""
        full = self._subject.full
        factors = unit_factors(full)
        chosen: dict[Cohort, Setting] = {}
        reports = []
        for cohort in self._cohorts:
            population = Population(total=self._total, forgotten=cohort.count)
            forget = self._sums(cohort)
            setting = settings.get(cohort) or METHODS[self._method.method](
                self._method, full, forget, population
            )
            dampened = tighten(
                factors,
                full,
                forget,
                population,
                selection=setting.selection,
                strength=setting.strength,
            )
            chosen[cohort] = setting
            reports.append(CohortSetting(cohort, setting, dampened))
        return Mixture(chosen, reports, factors, apply_factors(self._subject.base, factors))

    def _sums(self, cohort: Cohort) -> Sums:
        if cohort in self._added_up:
            return self._added_up[cohort]
        first, *rest = cohort.labels
        sums = self._of_label(first)
        if rest:
            # A sum of their own: those of a label stay what they are.
            sums = {name: tensor.clone() for name, tensor in sums.items()}
        for label in rest:
            add_sums(sums, self._of_label(label))
        size = sum(tensor.nbytes for tensor in sums.values())
        if size * (len(self._added_up) + 1) <= MOST_BYTES:
            self._added_up[cohort] = sums
        return sums

    def _of_label(self, label: int) -> Sums:
        if label in self._at_hand:
            return self._at_hand[label]
        return read_on(self._kept[label].artifact, self._resources)


def _require_retained(run: Run, forgotten: Mapping[int, int]) -> None:
    total = sum(run.trained.values())
    if sum(forgotten.values()) >= total:
        raise NothingRetained(
            f"All {total} training samples would be forgotten, and nothing would be left to "
            "protect. Retire the network instead."
        )


def _watched(
    run: Run, subject: Subject, gone: set[int], resources: Resources
) -> dict[int, list[Position]]:
    """Unseen samples of the labels forgotten whole; none if the policy fixes α and λ."""
    if run.policy.method.method == "fixed":
        return {}
    with resources.database.reading() as session:
        watched = {
            label: select_probe(
                session,
                run.model_id,
                Split.HOLDOUT,
                counts={label: subject.holdout_counts[label]},
                size=WATCHED_PER_LABEL,
                without=run.samples,
            )
            for label in sorted(gone)
            if label in subject.holdout_counts
        }
    return {label: positions for label, positions in watched.items() if positions}


def _accuracy(
    subject: Subject, weights: Weights, watched: Mapping[int, list[Position]]
) -> dict[int, float]:
    if not watched:
        return {}
    network = subject.put(weights)
    figures = {
        label: measure(network, subject.batches(positions)).accuracy
        for label, positions in watched.items()
    }
    return {label: accuracy for label, accuracy in figures.items() if accuracy is not None}


def _slipped(
    run: Run, settings: Mapping[Cohort, Setting], accuracy: Mapping[int, float]
) -> set[Cohort]:
    allowed = most_recognised(run.enrolment.architecture.num_classes)
    return {
        cohort
        for cohort in settings
        if any(accuracy.get(label, 0.0) > allowed for label in cohort.labels)
    }


def _rung(settings: Mapping[Cohort, Setting], accuracy: Mapping[int, float]) -> Json:
    return {
        "settings": {
            cohort.name: {"alpha": setting.selection, "lambda": setting.strength}
            for cohort, setting in settings.items()
        },
        "accuracy_on_unseen_of_labels_forgotten_whole": {
            str(label): value for label, value in accuracy.items()
        },
    }
