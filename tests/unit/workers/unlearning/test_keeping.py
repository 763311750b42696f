"""What an earlier version has forgotten is not given back by a search that does not pass."""

from dataclasses import replace

import pytest

from models.documents import Decision, Rule
from tests.unit.workers.unlearning.memorised import COHORT, bench
from workers.unlearning.cohorts import Cohort
from workers.unlearning.judgement import decide
from workers.unlearning.keeping import keep_forgotten
from workers.unlearning.preference import nearest
from workers.unlearning.standing import Known
from workers.unlearning.tuning import Setting
from workers.unlearning.workbench import Kept

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
