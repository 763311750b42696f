"""Whether a network still knows what it was to forget: the figures, cohort by cohort.

The target is to treat forgotten samples *like unseen data*. A label of which samples are retained
has unseen samples to compare with, and the loss-based attack must not tell the two apart, on either
side; nor must it show in how many of them are recognised. Of a label of which nothing or next to
nothing stays, a network without the forgotten samples would recognise nobody but by chance, so
there the accuracy on unseen samples of the label is what counts; or, where there are too few of
these, on the forgotten ones, which such a network would not have seen either. In between are a kind
within a label, and a label of which little is left: a network without them would recognise fewer of
their like, and about as many as a surrogate expects are what is aimed at.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from models.documents import Closeness, Reference, Rule
from workers.unlearning.cohorts import Cohort
from workers.unlearning.probing.expectation import Expectation
from workers.unlearning.probing.gap_attack import GapAttack, gap_attack
from workers.unlearning.probing.intervals import Estimate, Z
from workers.unlearning.probing.membership import LossAttack, loss_attack
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.probe import Probe
from workers.unlearning.probing.standing import ROUNDING, Standing

# Of a label that is gone, this much of what chance would recognise is aimed at: a retrained
# network recognises nobody. Up to chance is accepted, where no more can be had.
OF_CHANCE = 0.2
# With few labels chance is no bound: of two it would be half of a class. No more than so much of a
# label that is gone is ever accepted, as a share. With many it is less than one sample, which alone
# is never too much.
MOST_LEFT = 0.1
# What is expected is off by ten points now and then. To recognise more may be somebody's loss of
# privacy, to recognise fewer is not: up to so much fewer, as a share, is accepted where nothing
# comes nearer.
FEWER = 0.15
# Where influence was seen, a candidate must come within so many standard errors of the target: that
# the same difference is no longer significant does not mean that it is gone.
FORGOTTEN_WITHIN = 1.0
# A gap of which chance alone is so likely counts as none. At the base that is the stricter of two
# tests of the same samples, so that both together hardly suspect more than the one by losses.
UNLIKELY = 0.01
# Of a candidate that has to close a gap: what a difference of one standard error comes to.
CLOSED = 0.3173


@dataclass(frozen=True)
class Thresholds:
    """What counts as no difference.

    `membership` of the attack's area from 0.5; `excess` of a share from what is expected; and
    either way a difference of less than `errors` standard errors, of `attack_errors` for the
    attack; or a gap that chance makes in a share of `gap_chance` cases. A rule needs `min_probe`
    samples to decide by.
    """

    membership: float
    excess: float
    min_probe: int
    errors: float = Z
    attack_errors: float = Z
    gap_chance: float = UNLIKELY


def standing_of(
    cohort: Cohort,
    observed: Observed,
    probe: Probe,
    thresholds: Thresholds,
    expectation: Expectation | None = None,
) -> Standing:
    """Compare a cohort with its target, which `expectation` is if there is one."""
    forgotten = observed.at(probe.forgotten[cohort])
    unseen = probe.like(cohort, observed)
    attack, gap = loss_attack(forgotten, unseen), gap_attack(forgotten, unseen)
    by_gap = False
    recognised: Estimate | None = None
    on: Reference | None = None
    expected: float | None = None
    apart: Closeness | None = None
    membership = _by_attack(attack, thresholds)
    if probe.gone.issuperset(cohort.labels):
        rule = Rule.CHANCE
        on, telling = telling_of(cohort, observed, probe, min_probe=thresholds.min_probe)
        recognised = telling.accuracy_estimate
        reading = _by_chance(recognised, probe.num_classes, thresholds.min_probe)
    elif expectation is not None:
        on, expected = expectation.on, expectation.share
        recognised = observed.at(expectation.positions.tolist()).accuracy_estimate
        rule, reading = Rule.EXPECTED, _as_expected(expectation.excess(observed), thresholds)
        tells = membership.closeness is Closeness.FAMILIAR or (
            # Of a kind few may be unseen: that it looks stranger than these says nothing.
            membership.closeness is Closeness.CONSPICUOUS and not expectation.of_kind
        )
        if tells and reading.accepted:
            # Their like are known as well as they should be, and yet the two are told apart.
            rule, reading = Rule.LIKE_UNSEEN, membership
        elif tells:
            apart = membership.closeness
    else:
        rule = Rule.LIKE_UNSEEN
        reading, by_gap = _like_unseen(attack, gap, thresholds)
    accuracy = forgotten.accuracy_estimate
    return Standing(rule, *reading, accuracy, attack, recognised, on, expected, apart, gap, by_gap)


def standing_by_attacks(forgotten: Observed, unseen: Observed, thresholds: Thresholds) -> Standing:
    """How `forgotten` samples stand by what the attacks say of them, and nothing else."""
    attack, gap = loss_attack(forgotten, unseen), gap_attack(forgotten, unseen)
    reading, by_gap = _like_unseen(attack, gap, thresholds)
    accuracy = forgotten.accuracy_estimate
    return Standing(
        Rule.LIKE_UNSEEN, *reading, accuracy, attack, None, None, None, gap=gap, by_gap=by_gap
    )


def to_close(standing: Standing, thresholds: Thresholds) -> Thresholds:
    """How near a candidate must come, of samples that stand like this at the base.

    Where one of the attacks tells them from unseen ones, the same difference must be gone, and not
    just no longer significant.
    """
    by_losses = _by_attack(standing.attack, thresholds).closeness is Closeness.ALIKE
    by_gap = _by_gap(standing.gap, thresholds).closeness is Closeness.ALIKE
    return replace(
        thresholds,
        attack_errors=Z if by_losses else FORGOTTEN_WITHIN,
        gap_chance=UNLIKELY if by_gap else CLOSED,
    )


def leaves_too_much(standing: Standing) -> bool:
    """Whether so much of a label that is gone is recognised, beyond doubt, as is never accepted."""
    recognised = standing.recognised if standing.rule is Rule.CHANCE else None
    return recognised is not None and recognised.low > MOST_LEFT


def telling_of(
    cohort: Cohort, observed: Observed, probe: Probe, *, min_probe: int
) -> tuple[Reference, Observed]:
    """The samples that tell whether a label that is gone is still recognised."""
    unseen = probe.like(cohort, observed)
    if len(unseen) >= min_probe:
        return "unseen", unseen
    return "forgotten", observed.at(probe.forgotten[cohort])


def most_left(num_classes: int, count: int) -> float:
    """The share of `count` samples of a label that is gone up to which it may be recognised."""
    return min(max(1 / num_classes, 1 / count), MOST_LEFT)


class _Reading(NamedTuple):
    """What one rule makes of a cohort, as a standing begins."""

    closeness: Closeness
    distance: float | None
    bound: float | None
    accepted: bool


_NOTHING = _Reading(Closeness.UNDECIDABLE, None, None, accepted=False)


def _by_chance(recognised: Estimate | None, num_classes: int, min_probe: int) -> _Reading:
    if recognised is None or recognised.count < min_probe:
        return _NOTHING
    bound, most = OF_CHANCE / num_classes, most_left(num_classes, recognised.count)
    beyond = recognised.value - bound
    if beyond <= ROUNDING:
        return _Reading(Closeness.ALIKE, 0.0, bound, accepted=True)
    accepted = recognised.value <= most + ROUNDING
    return _Reading(Closeness.FAMILIAR, beyond, bound, accepted)


def _by_attack(attack: LossAttack | None, thresholds: Thresholds) -> _Reading:
    if attack is None or attack.unseen < thresholds.min_probe:
        return _NOTHING
    if attack.unmatched > attack.area.count:
        # What shows of the few that can be compared says nothing of most of them.
        return _NOTHING
    error = attack.area.error_towards(0.5)
    bound = max(thresholds.membership, thresholds.attack_errors * error)
    return _between(attack.advantage, bound)


def _by_gap(gap: GapAttack | None, thresholds: Thresholds) -> _Reading:
    if gap is None:
        return _NOTHING
    if gap.chance >= thresholds.gap_chance:
        return _Reading(Closeness.ALIKE, 0.0, thresholds.excess, accepted=True)
    return _between(gap.gap, thresholds.excess)


def _like_unseen(
    attack: LossAttack | None, gap: GapAttack | None, thresholds: Thresholds
) -> tuple[_Reading, bool]:
    """What both attacks make of it, and whether it is the gap that decides."""
    by_losses = _by_attack(attack, thresholds)
    by_gap = _by_gap(gap, thresholds)
    if by_losses.closeness is Closeness.ALIKE and by_gap.closeness is not Closeness.ALIKE:
        return by_gap, True
    return by_losses, False


def _as_expected(excess: Estimate | None, thresholds: Thresholds) -> _Reading:
    if excess is None or excess.count < thresholds.min_probe:
        return _NOTHING
    bound = max(thresholds.excess, thresholds.errors * excess.error_towards(0.0))
    found = _between(excess.value, bound)
    return found._replace(accepted=found.accepted or -FEWER - ROUNDING <= excess.value < 0)


def _between(value: float, bound: float) -> _Reading:
    """`value` is 0 at the target, and positive on the familiar side."""
    beyond = abs(value) - bound
    if beyond <= ROUNDING:
        return _Reading(Closeness.ALIKE, 0.0, bound, accepted=True)
    if value > 0:
        return _Reading(Closeness.FAMILIAR, beyond, bound, accepted=False)
    return _Reading(Closeness.CONSPICUOUS, -beyond, bound, accepted=False)
