"""Candidates on the workbench: made of the base, looked at, judged, and kept in order."""

from collections.abc import Collection
from dataclasses import replace

import torch

from models.documents import Closeness
from tests.unit.workers.unlearning.memorised import COHORT, FORGOTTEN, bench
from workers.unlearning.choosing import choose
from workers.unlearning.dampening import Weights
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.standing import Concession
from workers.unlearning.searching.workbench import Workbench
from workers.unlearning.tuning import Setting

GENTLE, STRONG = ({COHORT: Setting(selection, 1.0)} for selection in (10.0, 1.0))


def test_a_candidate_is_the_mixture_as_the_gate_sees_it() -> None:
    workbench = bench()
    trial = workbench.attempt(GENTLE)
    weights = workbench.mixer.mix(GENTLE).weights["weight"]
    # What only the forgotten samples use is gone, and nothing else.
    expected = workbench.mixer.base["weight"].clone()
    expected[:, 2 : 2 + FORGOTTEN] = 0.0
    assert torch.equal(weights, expected)
    assert trial.change == float((weights - workbench.mixer.base["weight"]).double().norm())
    (tried,) = workbench.ladder
    assert tried.trial is trial
    assert trial.settings == GENTLE
    assert trial.judgement == workbench.gate.judge(tried.seen)
    assert trial.judgement.passes
    assert workbench.gate.at_base[COHORT].closeness is Closeness.FAMILIAR


def test_every_candidate_begins_at_the_base() -> None:
    workbench = bench()
    first, _, again = (workbench.attempt(each) for each in (GENTLE, STRONG, GENTLE))
    assert again.change == first.change
    assert again.judgement == first.judgement


def test_candidates_are_on_the_ladder_in_order_and_each_is_announced() -> None:
    lengths: list[int] = []
    workbench = bench(done=lambda: lengths.append(len(workbench.ladder)))
    trials = [workbench.attempt(each) for each in (GENTLE, STRONG, GENTLE)]
    assert lengths == [1, 2, 3]
    assert [tried.trial for tried in workbench.ladder] == trials
    assert trials[1].change > trials[0].change


def test_settings_that_are_changed_afterwards_change_no_candidate() -> None:
    workbench = bench()
    settings = dict(GENTLE)
    workbench.attempt(settings)
    settings.update(STRONG)
    workbench.attempt(settings)
    first, second = (tried.trial for tried in workbench.ladder)
    assert (first.settings, second.settings) == (GENTLE, STRONG)
    assert second.change > first.change


def test_no_candidate_is_gentler_than_the_floor_whatever_is_asked_for() -> None:
    floor = Setting(3.0, 0.5)
    workbench = bench(floors={COHORT: floor})
    found = [
        workbench.attempt({COHORT: setting}).settings[COHORT]
        for setting in (Setting(10.0, 1.0), Setting(1.0, 1.0), Setting(10.0, 0.1))
    ]
    assert found == [floor, Setting(1.0, 0.5), Setting(3.0, 0.1)]


def test_a_pinned_cohort_keeps_its_setting_and_none_is_sought_for_it() -> None:
    workbench = bench(pinned=STRONG)
    assert workbench.cohorts == []
    assert workbench.attempt({}).settings == STRONG


def test_what_is_excused_holds_nothing_up() -> None:
    (standing,) = bench(in_pairs=True).attempt(GENTLE).judgement.standings.values()
    assert not standing.accepted
    workbench = bench(in_pairs=True, excused={COHORT: Concession.of(standing)})
    judgement = workbench.attempt(GENTLE).judgement
    assert judgement.passes
    assert judgement.conceded


def test_the_cohorts_are_those_of_the_probe_and_seeds_the_mixers() -> None:
    workbench = bench()
    assert list(workbench.cohorts) == [COHORT]
    assert workbench.seed(COHORT) == workbench.mixer.adaptive_selection(COHORT)


def test_of_a_label_that_is_gone_a_second_look_has_the_bases_last_layer() -> None:
    gone = frozenset({0})
    workbench = bench(last_layer=["weight"], gone=gone)
    judgement = workbench.attempt(STRONG).judgement
    # The network has no other layer: with that put back it is the base.
    (at_base,) = workbench.gate.at_base.values()
    assert judgement.last_layer_restored == {COHORT: at_base.recognised}
    assert judgement.shallow == {COHORT}
    assert judgement.left_below == 1.0
    assert not bench(gone=gone).attempt(STRONG).judgement.last_layer_restored
    assert not bench(last_layer=["weight"]).attempt(STRONG).judgement.last_layer_restored


def test_the_second_look_is_with_the_weights_of_the_base_in_the_last_layer() -> None:
    made = bench(gone=frozenset({0}))
    looks: list[tuple[Weights, Collection[int] | None]] = []

    def look(weights: Weights, at: Collection[int] | None = None) -> Observed:
        looks.append((weights, at))
        return made.gate.base.at(made.gate.base.positions.tolist() if at is None else at)

    Workbench(made.gate, made.mixer, look, ["weight"]).attempt(STRONG)
    (first, everything), (second, telling) = looks
    assert (everything, telling) == (None, made.gate.telling)
    assert not torch.equal(first["weight"], made.mixer.base["weight"])
    assert torch.equal(second["weight"], made.mixer.base["weight"])


def test_one_that_passes_is_chosen_before_one_that_comes_as_near_and_does_not() -> None:
    workbench = bench()
    near = workbench.attempt(GENTLE)
    short = replace(near, judgement=replace(near.judgement, unmeasured=["who knows"]))
    workbench.ladder[0] = replace(workbench.ladder[0], trial=short)
    assert choose(workbench).rung == 0
    workbench.attempt(STRONG)
    assert choose(workbench).rung == 1
    assert choose(workbench).chosen.trial.settings == STRONG
