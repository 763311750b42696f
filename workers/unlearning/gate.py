"""The gate: what a candidate may cost, and what it must have achieved."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from models.documents import Closeness, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gating import reasons
from workers.unlearning.gating.bounds import Bounds
from workers.unlearning.gating.damage import falls
from workers.unlearning.gating.judgement import Judgement
from workers.unlearning.gating.pooling import Pool, closeness_of
from workers.unlearning.probing.expectation import Expectation, adapt, expect_all
from workers.unlearning.probing.intervals import Estimate, Z
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import Concession, Known, Standing
from workers.unlearning.probing.surrogate import Surrogate
from workers.unlearning.verification import (
    FORGOTTEN_WITHIN,
    Thresholds,
    leaves_too_much,
    standing_of,
    telling_of,
    to_close,
)

# A second look at so many samples of a cohort, or less than twice as many, tells enough.
MOST_BELOW = 200


class Gate:
    """Holds candidates against the base and the bounds; all of them have seen one probe.

    What the base shows of a cohort is taken for influence if it is beyond its 95 % interval. A
    candidate of which that was said must come within one standard error of the target: that the
    same difference is no longer significant does not mean that it is gone. The same goes for the
    cohorts of which it shows nothing, taken together (`pooling.py`).

    A `surrogate` tells which cohorts are kinds, and of which of them a network that was never
    taught them would recognise less than the base does. What was expected of a cohort whose samples
    can no longer all be looked at is `recorded`. `asked` are the labels of which the run forgets
    something, all if None; `forgotten_together` says whether an earlier one forgot what cohorts
    show only together.
    """

    def __init__(
        self,
        base: Observed,
        probe: Probe,
        bounds: Bounds,
        surrogate: Surrogate | None = None,
        recorded: Mapping[Cohort, Expectation] | None = None,
        asked: Collection[int] | None = None,
        *,
        forgotten_together: bool = False,
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
        self._to_reach = {
            cohort: to_close(standing, self._thresholds(FORGOTTEN_WITHIN))
            for cohort, standing in by_attack.items()
        }
        self.at_base = {
            cohort: standing_of(
                cohort, base, self.probe, self._thresholds(), self.expectations.get(cohort)
            )
            for cohort in probe.forgotten
        }
        of_all = frozenset(chain.from_iterable(cohort.labels for cohort in probe.forgotten))
        self._asked = of_all if asked is None else frozenset(asked)
        self.pool = Pool(
            by_attack,
            base,
            self.probe,
            self._thresholds(),
            like_kin={c for c, each in self.expectations.items() if each.of_kind},
            asked=self._asked,
            forgotten_before=forgotten_together,
        )

    @property
    def telling(self) -> frozenset[int]:
        """The samples that tell what is left of labels that are gone, by position."""
        return frozenset(chain.from_iterable(self._of_gone.values()))

    @property
    def decides_by_unseen(self) -> bool:
        """Whether unseen samples alone tell of every cohort what is left of it."""
        return all(
            standing.rule is Rule.CHANCE and standing.recognised_on == "unseen"
            for standing in self.at_base.values()
        )

    @property
    def influenced(self) -> bool:
        """Whether the base treats any cohort of the labels asked for otherwise than unseen data.

        As far as can be told: where nothing can, it may.
        """
        return any(
            self.closeness_at_base(cohort) is not Closeness.ALIKE
            for cohort in self.at_base
            if self._asked.intersection(cohort.labels)
        )

    def closeness_at_base(self, cohort: Cohort) -> Closeness:
        """How the base treats a cohort, alone or, if it shows nothing so, with others."""
        return closeness_of(cohort, self.at_base, self.pool.at_base)

    def untold(self, cohort: Cohort) -> frozenset[int]:
        """Labels of a cohort of which nothing can be told: it is compared with unseen samples, and
        of these labels there are none.
        """
        if self.at_base[cohort].rule is not Rule.LIKE_UNSEEN:
            return frozenset()
        return frozenset(cohort.labels).difference(self.probe.like(cohort, self.base).by_label())

    def has_forgotten_together(self, judgement: Judgement) -> bool:
        """Whether cohorts show something only together at the base, and nothing any more."""
        before, after = self.pool.at_base, judgement.pooled
        if before is None or after is None or not before.to_forget:
            return False
        return before.standing.closeness is not Closeness.ALIKE and after.standing.accepted

    def judge(
        self,
        candidate: Observed,
        restored: Observed | None = None,
        excused: Mapping[Cohort, Concession] | None = None,
        forgotten: Mapping[Cohort, Known] | None = None,
    ) -> Judgement:
        """What is wrong with a candidate, if anything is.

        `restored` is what it makes of the `telling` samples with the base's last layer put back.
        Cohorts that are `excused` were judged before: that they stand like this holds nothing up.
        Those `forgotten` by an earlier version must not be known better than they were in it.
        """
        excused = excused or {}
        standings = self._standings(candidate)
        unaccepted = {
            cohort: reasons.shortfall(cohort, standing, self.probe)
            for cohort, standing in standings.items()
            if not standing.accepted and standing.closeness is not Closeness.UNDECIDABLE
        }
        covered = {c for c, conceded in excused.items() if conceded.covers(standings[c])}
        short = {c: said for c, said in unaccepted.items() if c not in covered}
        # Their like in the holdout is excused, but not from being known as well as is expected.
        lost = {cohort: standings[cohort] for cohort in short if standings[cohort].is_loss}
        pooled = self.pool.judge(candidate)
        # What this run need not forget must not get worse by it, either.
        together = [] if pooled and pooled.excused else reasons.together(pooled)
        to_forget = pooled is not None and pooled.to_forget
        found = falls(self.base, candidate, self.probe)
        return Judgement(
            standings=standings,
            last_layer_restored=self._recognised(restored) if restored is not None else {},
            falls=found,
            spares=found.within(self.bounds.negligible),
            damage=[
                *found.reasons(self.bounds.falls),
                *(said for cohort, said in short.items() if cohort in lost),
                *([] if to_forget else together),
            ],
            unmeasured=reasons.unmeasured(self.probe, candidate, min_probe=self.bounds.min_probe),
            shortfalls=[
                *(said for cohort, said in short.items() if cohort not in lost),
                *reasons.apart(lost, self.probe),
                *(together if to_forget else []),
            ],
            undecided=[
                reasons.undecided(cohort, standing, min_probe=self.bounds.min_probe)
                for cohort, standing in standings.items()
                if standing.closeness is Closeness.UNDECIDABLE and cohort not in covered
            ],
            conceded=[said for cohort, said in unaccepted.items() if cohort in covered],
            given_back={
                cohort
                for cohort, known in (forgotten or {}).items()
                if cohort in short and known.is_exceeded_by(standings[cohort])
            },
            pooled=pooled,
        )

    def rule_out(
        self, candidate: Observed, excused: Mapping[Cohort, Concession] | None = None
    ) -> Judgement | None:
        """What is wrong with a candidate of which only quarters of the probe were looked at.

        None if these leave any doubt that it cannot pass: then the rest is to be looked at, too. So
        it is where a search would learn something wrong: of damage that may be chance, or from a
        cohort of which too few were looked at. Of what was accepted before nothing rules it out.
        """
        found = self.judge(candidate, None, excused)
        if any(each.closeness is Closeness.UNDECIDABLE for each in found.standings.values()):
            return None
        damage = found.falls.sure_reasons(self.bounds.falls)
        remembered = found.spares and any(
            leaves_too_much(standing)
            for cohort, standing in found.standings.items()
            if cohort not in (excused or {})
        )
        if not (damage or remembered):
            return None
        return replace(found, damage=damage, unmeasured=[], at_a_glance=True)

    def _standings(self, candidate: Observed) -> dict[Cohort, Standing]:
        return {
            cohort: standing_of(
                cohort,
                candidate,
                self.probe,
                self._to_reach[cohort],
                self.expectations.get(cohort),
            )
            for cohort in self.at_base
        }

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

    def _thresholds(self, errors: float = Z) -> Thresholds:
        return Thresholds(
            membership=self.bounds.membership,
            excess=self.bounds.excess,
            min_probe=self.bounds.min_probe,
            errors=errors,
        )
