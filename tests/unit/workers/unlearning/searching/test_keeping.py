"""What an earlier version has forgotten is not given back by a search that does not pass."""

from dataclasses import replace

import numpy as np
import pytest

from models.documents import Closeness, Decision, Rule
from tests.unit.workers.unlearning.memorised import BOUNDS, COHORT, bench
from tests.unit.workers.unlearning.probes import COHORT as WHOLE
from tests.unit.workers.unlearning.probes import UNSEEN, network, probe_of
from workers.unlearning.cohorts import Cohort
from workers.unlearning.gate import Gate
from workers.unlearning.gating.judgement import decide
from workers.unlearning.probing.intervals import Estimate
from workers.unlearning.probing.standing import Known
from workers.unlearning.searching.keeping import keep_forgotten
from workers.unlearning.searching.preference import nearest
from workers.unlearning.searching.workbench import Kept
from workers.unlearning.tuning import Setting

# Of samples that share what they are remembered by with retained ones the first selects nothing.
TOO_GENTLE, BEFORE = Setting(1e9, 1.0), Setting(0.5, 0.5)
OTHER = Cohort((1,), 5, scattered=False)
# A version has forgotten it: nobody could tell it from unseen samples.
FORGOTTEN = Known(Rule.LIKE_UNSEEN, 0.5, 1.0)


def test_a_candidate_that_gives_a_cohort_back_is_tried_again_as_it_was_before() -> None:
    workbench = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, FORGOTTEN)})
    trial = workbench.attempt({COHORT: TOO_GENTLE})
    assert trial.judgement.given_back == {COHORT}
    assert trial.change == 0
    keep_forgotten(workbench)
    (_, amended) = (tried.trial for tried in workbench.ladder)
    assert amended.settings == {COHORT: BEFORE}
    assert amended.change > 0


def test_the_nearest_is_tried_again_whatever_was_tried_after_it() -> None:
    workbench = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, FORGOTTEN)})
    # Both give it back, and the gentler one is as near.
    workbench.attempt({COHORT: TOO_GENTLE})
    assert workbench.attempt({COHORT: Setting(1e-6, 1e-6)}).change > 0
    keep_forgotten(workbench)
    assert [tried.trial.settings[COHORT] for tried in workbench.ladder][2:] == [BEFORE]


def test_what_no_version_has_forgotten_is_not_given_back() -> None:
    workbench = bench(in_pairs=True)
    assert not workbench.attempt({COHORT: TOO_GENTLE}).judgement.given_back
    keep_forgotten(workbench)
    assert len(workbench.ladder) == 1


def test_a_cohort_that_has_grown_is_tried_as_it_was_before_and_holds_nothing_back() -> None:
    workbench = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, None)})
    assert not workbench.attempt({COHORT: TOO_GENTLE}).judgement.given_back
    keep_forgotten(workbench)
    assert [tried.trial.settings[COHORT] for tried in workbench.ladder] == [TOO_GENTLE, BEFORE]


def test_where_a_candidate_passes_nothing_is_amended() -> None:
    workbench = bench(kept={COHORT: Kept(BEFORE, FORGOTTEN)})
    assert workbench.attempt({COHORT: TOO_GENTLE}).judgement.passes
    keep_forgotten(workbench)
    assert len(workbench.ladder) == 1


def test_one_that_gives_back_is_not_the_nearest_if_another_does_not() -> None:
    trial = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, FORGOTTEN)}).attempt(
        {COHORT: TOO_GENTLE}
    )
    farther = replace(
        trial,
        judgement=replace(trial.judgement, given_back=frozenset()),
        change=trial.change + 1,
    )
    assert nearest([trial, farther]) is farther


@pytest.mark.parametrize("best_effort", [True, False])
def test_what_gives_a_cohort_back_is_never_published_by_itself(best_effort: bool) -> None:
    judgement = bench(in_pairs=True).attempt({COHORT: TOO_GENTLE}).judgement
    back = replace(judgement, given_back=frozenset({OTHER}))
    short = Decision.PUBLISHED_SHORT if best_effort else Decision.NEEDS_REVIEW
    assert decide(judgement, influenced=True, best_effort=best_effort) is short
    assert decide(back, influenced=True, best_effort=best_effort) is Decision.NEEDS_REVIEW


def test_what_was_known_as_well_before_is_not_given_back_though_a_policy_is_stricter_now() -> None:
    as_familiar = Known.of(
        bench(in_pairs=True).attempt({COHORT: TOO_GENTLE}).judgement.standings[COHORT]
    )
    for known, back in ((as_familiar, set()), (replace(as_familiar, figure=0.5), {COHORT})):
        workbench = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, known)})
        assert workbench.attempt({COHORT: TOO_GENTLE}).judgement.given_back == back


def test_by_another_rule_it_is_how_many_are_recognised_that_tells() -> None:
    standing = bench(in_pairs=True).attempt({COHORT: TOO_GENTLE}).judgement.standings[COHORT]
    assert standing.accuracy is not None
    for accuracy, back in ((standing.accuracy.value, False), (0.1, True), (None, True)):
        assert Known(Rule.CHANCE, 0.0, accuracy).is_exceeded_by(standing) == back


def test_what_is_short_is_tried_again_as_before_and_no_gentler_than_it_was_now() -> None:
    workbench = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, FORGOTTEN)})
    workbench.attempt({COHORT: Setting(0.4, 1.0)})
    keep_forgotten(workbench)
    assert workbench.ladder[-1].trial.settings == {COHORT: Setting(0.4, 0.5)}


def test_what_is_as_it_was_before_already_is_not_tried_twice() -> None:
    workbench = bench(in_pairs=True, kept={COHORT: Kept(BEFORE, FORGOTTEN)})
    assert not workbench.attempt({COHORT: BEFORE}).judgement.passes
    keep_forgotten(workbench)
    assert len(workbench.ladder) == 1


def test_a_cohort_that_is_forgotten_stays_as_it_is_where_something_else_does_not_pass() -> None:
    workbench = bench(kept={COHORT: Kept(BEFORE, FORGOTTEN)})
    trial = workbench.attempt({COHORT: TOO_GENTLE})
    dear = replace(trial, judgement=replace(trial.judgement, damage=["too much"]))
    workbench.ladder[0] = replace(workbench.ladder[0], trial=dear)
    keep_forgotten(workbench)
    assert len(workbench.ladder) == 1


@pytest.mark.parametrize(("more", "back"), [(-0.1, False), (0.02, False), (0.03, True)])
def test_a_little_better_than_before_is_not_known_again(more: float, back: bool) -> None:
    standing = bench(in_pairs=True).attempt({COHORT: TOO_GENTLE}).judgement.standings[COHORT]
    known = Known.of(standing)
    assert known.figure is not None
    assert replace(known, figure=known.figure - more).is_exceeded_by(standing) is back
    # Whoever is not familiar is not known again, however many are recognised.
    for closeness in (Closeness.CONSPICUOUS, Closeness.UNDECIDABLE, Closeness.ALIKE):
        now = replace(standing, closeness=closeness)
        assert not Known(Rule.CHANCE, 0.0, None).is_exceeded_by(now)


def test_what_is_recognised_beyond_what_is_expected_is_how_well_a_kind_is_known() -> None:
    standing = bench(in_pairs=True).attempt({COHORT: TOO_GENTLE}).judgement.standings[COHORT]
    as_expected = replace(
        standing, rule=Rule.EXPECTED, recognised=Estimate(0.7, 40, 0.5, 0.8), expected=0.6
    )
    assert Known.of(as_expected).figure == pytest.approx(0.1)
    # More are expected of it by now, and no more are known beyond that.
    more = replace(as_expected, recognised=Estimate(0.8, 40, 0.6, 0.9), expected=0.7)
    assert not Known.of(as_expected).is_exceeded_by(more)


def test_what_is_known_better_and_still_accepted_is_not_given_back() -> None:
    base = network(unseen=40)
    gate = Gate(base, probe_of(base, gone=frozenset([0])), BOUNDS)
    # Chance would recognise a tenth.
    left = np.isin(base.positions, range(UNSEEN, UNSEEN + 4))
    candidate = replace(base, right=left | (base.labels != 0))
    judgement = gate.judge(candidate, forgotten={WHOLE: Known(Rule.CHANCE, 0.0, 0.0)})
    (standing,) = judgement.standings.values()
    assert (standing.closeness, standing.accepted) == (Closeness.FAMILIAR, True)
    assert judgement.passes
    assert not judgement.given_back
    worse = gate.judge(base, forgotten={WHOLE: Known(Rule.CHANCE, 0.0, 0.0)})
    assert worse.given_back == {WHOLE}
