"""Making candidates: the base dampened with a setting for every cohort, and each of them judged.

What is tried, and in which order, is the method's business (`unlearning/methods.py`); which of the
candidates is taken is decided here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import ForgetsTooMuch, NothingRetained, ReviewOutdated
from models.records import Phase
from workers.claims import Approval, Run
from workers.examination import Examiner
from workers.progress import Report, Tracker
from workers.resources import Resources
from workers.subjects import KeptSums, Subject, read_on
from workers.unlearning.cohorts import Cohort
from workers.unlearning.dampening import (
    Population,
    Weights,
    apply_factors,
    dampened_counts,
    tighten,
    unit_factors,
)
from workers.unlearning.gate import Bounds, Gate
from workers.unlearning.importances import Sums, add_sums
from workers.unlearning.methods import METHODS, Bench, Settings
from workers.unlearning.observation import Observed
from workers.unlearning.search import Trial, gentlest_passing, nearest
from workers.unlearning.tuning import Setting, adaptive_selection
from workers.unlearning.verification import change_of_weights
from workers.weighing import Weighed

# Sums of cohorts that are kept in memory between candidates, at most.
MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Mixture:
    """The base dampened with one setting for each cohort."""

    weights: Weights
    # Entries whose factor is below 1: by each cohort alone, and of each parameter by all of them.
    by_cohort: dict[Cohort, int]
    by_parameter: dict[str, int]


@dataclass(frozen=True)
class Tried:
    """A candidate that was judged, and what it made of the probe."""

    trial: Trial
    seen: Observed


@dataclass(frozen=True)
class Tuned:
    """The ladder of candidates, the one that was taken, and its weights."""

    gate: Gate
    ladder: list[Tried]
    rung: int
    mixture: Mixture
    # All forgotten training samples per label, this run's included.
    forgotten: dict[int, int]

    @property
    def chosen(self) -> Tried:
        """The candidate that was taken."""
        return self.ladder[self.rung]


def tune(
    run: Run,
    subject: Subject,
    weighed: Weighed,
    resources: Resources,
    report: Report,
) -> tuple[Tuned, Examiner]:
    """Try candidates by the policy's method, and take the gentlest that passes the gate.

    If none does, the one that comes nearest without too much damage. Raises `NothingRetained` if
    nothing but forgotten samples would be left, `ForgetsTooMuch` if the policy forbids that many,
    `ReviewOutdated` if a person has approved other cohorts than these.
    """
    kept = {**subject.forgotten, **weighed.updated}
    forgotten = {label: sums.count for label, sums in kept.items()}
    _require_allowed(run, forgotten)
    examiner = Examiner(run, subject, weighed.trained, forgotten, resources)
    gate = Gate(examiner.look(subject.base), examiner.probe, bounds_of(run))
    mixer = Mixer(run, subject, kept, weighed.at_hand, resources)
    ladder: list[Tried] = []
    tracker = Tracker(Phase.TUNE, getattr(run.policy.method, "max_candidates", 1), report)

    def attempt(settings: Settings) -> Trial:
        mixture = mixer.mix(settings)
        seen = examiner.look(mixture.weights)
        changes = change_of_weights(subject.base, mixture.weights, subject.full)
        norm = sum(change**2 for _, change in changes.values()) ** 0.5
        trial = Trial(dict(settings), gate.judge(seen), norm)
        ladder.append(Tried(trial, seen))
        tracker.advance(1)
        return trial

    if run.approval is not None:
        attempt(_approved(run.approval, examiner.cohorts))
    else:
        METHODS[run.policy.method.method](
            run.policy.method, Bench(gate, mixer.adaptive_selection, attempt)
        )
    trials = [tried.trial for tried in ladder]
    chosen = gentlest_passing(trials) or nearest(trials)
    return (
        Tuned(
            gate=gate,
            ladder=ladder,
            rung=trials.index(chosen),
            mixture=mixer.mix(chosen.settings),
            forgotten=forgotten,
        ),
        examiner,
    )


def bounds_of(run: Run) -> Bounds:
    """The policy's gate, as the numerics take it."""
    gate = run.policy.gate
    return Bounds(
        retained_fall=gate.max_retained_fall,
        class_fall=gate.max_class_fall,
        holdout_fall=gate.max_holdout_fall,
        membership=gate.max_membership,
        min_probe=gate.min_probe,
    )


class Mixer:
    """Dampens with all cohorts; their sums are added up, and kept while there is room."""

    def __init__(
        self,
        run: Run,
        subject: Subject,
        kept: Mapping[int, KeptSums],
        at_hand: Mapping[int, Sums],
        resources: Resources,
    ) -> None:
        self._total = sum(run.trained.values())
        self._subject = subject
        self._kept = kept
        self._at_hand = at_hand
        self._resources = resources
        self._added_up: dict[Cohort, Sums] = {}
        self._last: tuple[Settings, Mixture] | None = None

    def adaptive_selection(self, cohort: Cohort) -> float:
        """A cohort's α by the percentile rule."""
        return adaptive_selection(self._subject.full, self._sums(cohort), self._population(cohort))

    def mix(self, settings: Settings) -> Mixture:
        """Dampen the base with these settings; the same as last time costs nothing."""
        if self._last is None or self._last[0] != settings:
            self._last = (settings, self._mixed(settings))
        return self._last[1]

    def _mixed(self, settings: Settings) -> Mixture:
        factors = unit_factors(self._subject.full)
        by_cohort = {
            cohort: tighten(
                factors,
                self._subject.full,
                self._sums(cohort),
                self._population(cohort),
                selection=setting.selection,
                strength=setting.strength,
            )
            for cohort, setting in settings.items()
        }
        return Mixture(
            weights=apply_factors(self._subject.base, factors),
            by_cohort=by_cohort,
            by_parameter=dampened_counts(factors),
        )

    def _population(self, cohort: Cohort) -> Population:
        return Population(total=self._total, forgotten=cohort.count)

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


def _require_allowed(run: Run, forgotten: Mapping[int, int]) -> None:
    total, count = sum(run.trained.values()), sum(forgotten.values())
    if count >= total:
        raise NothingRetained(
            f"All {total} training samples would be forgotten, and nothing would be left to "
            "protect. Retire the network instead."
        )
    allowed = run.policy.gate.max_forgotten_share
    if count > allowed * total:
        raise ForgetsTooMuch(
            f"{count} of {total} training samples would be forgotten, which is more than the "
            f"{100 * allowed:g} % that the policy allows. Retrain the network without them, or "
            "change the policy."
        )


def _approved(approval: Approval, cohorts: list[Cohort]) -> dict[Cohort, Setting]:
    if {cohort.name for cohort in cohorts} != set(approval.settings):
        raise ReviewOutdated(
            "The cohorts are no longer those of the candidate that was approved: other samples "
            "are forgotten by now. Look at the run that follows."
        )
    return {
        cohort: Setting(
            selection=approval.settings[cohort.name]["alpha"],
            strength=approval.settings[cohort.name]["lambda"],
        )
        for cohort in cohorts
    }
