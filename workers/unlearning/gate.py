"""The gate: what a candidate may cost, and what it must have achieved."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from models import specifications
from workers.unlearning import reasons
from workers.unlearning.cohorts import Cohort
from workers.unlearning.damage import Allowed, falls
from workers.unlearning.expectation import Expectation, adapt, expect_all
from workers.unlearning.intervals import Estimate, Z
from workers.unlearning.judgement import Judgement
from workers.unlearning.observation import Observed
from workers.unlearning.probe import Probe
from workers.unlearning.surrogate import Surrogate
from workers.unlearning.verification import (
    NEGLIGIBLE,
    Closeness,
    Concession,
    Thresholds,
    standing_of,
    telling_of,
)

# A fall of one label that is not worth a further candidate.
NEGLIGIBLE_OF_ONE = 0.02
# A second look at so many samples of a cohort, or less than twice as many, tells enough.
MOST_BELOW = 200


@dataclass(frozen=True)
class Bounds:
    """Falls of accuracy since the base, as shares; the attack's distance from 0.5; a count.

    `excess` is a share as well: of what is recognised beyond what is expected.
    """

    retained_fall: float
    class_fall: float
    holdout_fall: float
    membership: float
    excess: float
    min_probe: int

    @property
    def falls(self) -> Allowed:
        """How far accuracy may fall."""
        return Allowed(self.retained_fall, self.class_fall, self.holdout_fall, self.min_probe)

    @property
    def negligible(self) -> Allowed:
        """Falls that are not worth a further candidate."""
        return Allowed(NEGLIGIBLE, NEGLIGIBLE_OF_ONE, NEGLIGIBLE, self.min_probe)

    @classmethod
    def of(cls, gate: specifications.Gate) -> "Bounds":
        """Those that a policy's gate sets."""
        return cls(
            retained_fall=gate.max_retained_fall,
            class_fall=gate.max_class_fall,
            holdout_fall=gate.max_holdout_fall,
            membership=gate.max_membership,
            excess=gate.max_excess,
            min_probe=gate.min_probe,
        )


class Gate:
    """Holds candidates against the base and the bounds; all of them have seen one probe.

    What the base shows of a cohort is taken for influence if it is beyond its 95 % interval. A
    candidate of which that was said must come within one standard error of the target: that the
    same difference is no longer significant does not mean that it is gone.

    A `surrogate` tells which cohorts are kinds, and of which of them a network that was never
    taught them would recognise less than the base does. What was expected of a cohort whose samples
    can no longer all be looked at is `recorded`.
    """

    def __init__(
        self,
        base: Observed,
        probe: Probe,
        bounds: Bounds,
        surrogate: Surrogate | None = None,
        recorded: Mapping[Cohort, Expectation] | None = None,
    ) -> None:
        self.base = base
        self.bounds = bounds
        self.surrogate = surrogate
        self.expectations = dict(recorded or {})
        kinds: Mapping[Cohort, frozenset[int]] = {}
        if surrogate is not None and surrogate.is_match:
            kinds = surrogate.kinds
            self.expectations |= expect_all(
                base, probe, surrogate, excess=bounds.excess, min_probe=bounds.min_probe
            )
        self.probe = adapt(probe, kinds, self.expectations, min_probe=bounds.min_probe)
        self._of_gone = dict(self._samples_of_gone(base))
        by_attack = {
            cohort: standing_of(cohort, base, self.probe, self._thresholds())
            for cohort in probe.forgotten
        }
        self._unsuspected = {
            cohort
            for cohort, standing in by_attack.items()
            if standing.closeness is Closeness.ALIKE
        }
        self.at_base = {
            cohort: standing_of(
                cohort, base, self.probe, self._thresholds(), self.expectations.get(cohort)
            )
            for cohort in probe.forgotten
        }

    @property
    def telling(self) -> frozenset[int]:
        """The samples that tell what is left of labels that are gone, by position."""
        return frozenset(chain.from_iterable(self._of_gone.values()))

    def influenced_by(self, labels: Collection[int]) -> bool:
        """Whether the base treats any cohort with these labels otherwise than unseen data.

        As far as can be told: where nothing can, it may.
        """
        return any(
            standing.closeness is not Closeness.ALIKE
            for cohort, standing in self.at_base.items()
            if set(labels) & set(cohort.labels)
        )

    def judge(
        self,
        candidate: Observed,
        restored: Observed | None = None,
        excused: Mapping[Cohort, Concession] | None = None,
    ) -> Judgement:
        """What is wrong with a candidate, if anything is.

        `restored` is what it makes of the `telling` samples with the base's last layer put back.
        Cohorts that are `excused` were judged before: that they stand like this holds nothing up.
        """
        excused = excused or {}
        standings = {
            cohort: standing_of(
                cohort,
                candidate,
                self.probe,
                self._thresholds(1.0, Z if cohort in self._unsuspected else 1.0),
                self.expectations.get(cohort),
            )
            for cohort in self.at_base
        }
        unaccepted = {
            cohort: reasons.shortfall(cohort, standing, self.probe)
            for cohort, standing in standings.items()
            if not standing.accepted and standing.closeness is not Closeness.UNDECIDABLE
        }
        covered = {c for c, conceded in excused.items() if conceded.covers(standings[c])}
        short = {c: said for c, said in unaccepted.items() if c not in covered}
        # Their like in the holdout is excused, but not from being known as well as is expected.
        lost = {cohort for cohort in short if standings[cohort].is_loss}
        found = falls(self.base, candidate, self.probe)
        return Judgement(
            standings=standings,
            last_layer_restored=self._recognised(restored) if restored is not None else {},
            falls=found,
            spares=found.within(self.bounds.negligible),
            damage=[
                *found.reasons(self.bounds.falls),
                *(said for cohort, said in short.items() if cohort in lost),
            ],
            unmeasured=reasons.unmeasured(self.probe, candidate, min_probe=self.bounds.min_probe),
            shortfalls=[said for cohort, said in short.items() if cohort not in lost],
            undecided=[
                reasons.undecided(cohort, standing, min_probe=self.bounds.min_probe)
                for cohort, standing in standings.items()
                if standing.closeness is Closeness.UNDECIDABLE and cohort not in covered
            ],
            conceded=[said for cohort, said in unaccepted.items() if cohort in covered],
        )

    def _recognised(self, restored: Observed) -> dict[Cohort, Estimate]:
        return {
            cohort: estimate
            for cohort, positions in self._of_gone.items()
            if (estimate := restored.at(positions).accuracy_estimate) is not None
        }

    def _samples_of_gone(self, base: Observed) -> Iterator[tuple[Cohort, list[int]]]:
        """Cohorts whose labels are gone, each with some of the samples that tell of it."""
        for cohort in self.probe.forgotten:
            if self.probe.gone.issuperset(cohort.labels):
                _, telling = telling_of(cohort, base, self.probe, min_probe=self.bounds.min_probe)
                step = max(1, len(telling) // MOST_BELOW)
                yield cohort, telling.positions[::step].tolist()

    def _thresholds(self, errors: float = Z, attack_errors: float = Z) -> Thresholds:
        return Thresholds(
            membership=self.bounds.membership,
            excess=self.bounds.excess,
            min_probe=self.bounds.min_probe,
            errors=errors,
            attack_errors=attack_errors,
        )
