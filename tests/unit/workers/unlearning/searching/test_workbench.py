"""Candidates on the workbench: made of the base, looked at, judged, and kept in order."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
import torch

from models.documents import Closeness, Rule
from tests.unit.workers.unlearning import probes
from tests.unit.workers.unlearning.memorised import BOUNDS, COHORT, FORGOTTEN, bench
from tests.unit.workers.unlearning.probes import network, probe_of
from workers.unlearning.choosing import choose
from workers.unlearning.cohorts import Cohort
from workers.unlearning.dampening import Weights
from workers.unlearning.gate import Gate
from workers.unlearning.probing import probe
from workers.unlearning.probing.observation import Observed
from workers.unlearning.probing.standing import Concession, Known
from workers.unlearning.searching.workbench import Kept, Workbench
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


GONE, PARTS = frozenset({0}), ("first", "second", "rest", "forgotten")
# Its unseen samples are enough for a quarter of them to decide.
KNOWN = network(unseen=400)


def unknown(observed: Observed) -> Observed:
    """The same, but that nobody of label 0 is recognised."""
    return replace(observed, right=observed.right & (observed.labels != 0))


def damaged(observed: Observed) -> Observed:
    """The same, but that every second sample of the others is not recognised, either."""
    return replace(unknown(observed), right=unknown(observed).right & (observed.positions % 2 == 0))


class Looks:
    """A workbench on which every candidate is seen as `sights` say, one after another."""

    def __init__(
        self,
        *sights: Observed,
        base: Observed = KNOWN,
        gone: frozenset[int] = GONE,
        kept: Mapping[Cohort, Kept] | None = None,
    ) -> None:
        self.named: list[str | None] = []
        self.lengths: list[int] = []
        self.sights = list(sights)
        gate = Gate(base, probe_of(base, gone), BOUNDS)
        self.bench = Workbench(gate, bench().mixer, self._look, [], self._next, kept=kept)

    def _look(self, weights: Weights, at: Collection[int] | None = None) -> Observed:
        parts = dict(zip(self.bench.gate.probe.parts or (), PARTS, strict=False))
        self.named.append(None if at is None else parts.get(frozenset(at), "others"))
        seen = self.sights[0] if at is None else self.sights[0].at(at)
        self.lengths.append(len(seen))
        if self.named[-1] == "others":
            self._next()
        return seen

    def _next(self) -> None:
        if len(self.sights) > 1:
            self.sights.pop(0)


@pytest.fixture
def of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a probe is, it is looked at in parts."""
    monkeypatch.setattr(probe, "LEAST", 1)


@pytest.mark.usefixtures("of_any_size")
def test_what_a_quarter_rules_out_is_not_looked_at_any_further() -> None:
    looks = Looks(KNOWN)
    judgement = looks.bench.attempt(GENTLE).judgement
    assert looks.named == ["first"]
    assert judgement.at_a_glance
    assert not judgement.passes
    (standing,) = judgement.standings.values()
    assert standing.recognised is not None
    assert standing.recognised.count == 100
    assert not looks.bench.ladder[0].is_whole


@pytest.mark.usefixtures("of_any_size")
def test_what_no_quarter_rules_out_is_judged_by_all_that_decides() -> None:
    looks = Looks(unknown(KNOWN))
    judgement = looks.bench.attempt(GENTLE).judgement
    assert looks.named == ["first", "second", "rest"]
    assert judgement.passes
    assert not judgement.at_a_glance
    whole = looks.bench.gate.judge(unknown(KNOWN))
    assert judgement.falls == whole.falls
    (standing,), (of_whole,) = judgement.standings.values(), whole.standings.values()
    # What forgotten samples show of a label that is gone decides nothing.
    assert (standing.accuracy, standing.attack, standing.gap) == (None, None, None)
    shown = {"accuracy": None, "attack": None, "gap": None}
    assert standing == replace(of_whole, **shown)


@pytest.mark.usefixtures("of_any_size")
def test_where_a_label_goes_in_part_all_is_looked_at_at_once() -> None:
    looks = Looks(KNOWN, gone=frozenset())
    looks.bench.attempt(GENTLE)
    assert looks.named == [None]
    assert looks.bench.ladder[0].is_whole


@pytest.mark.usefixtures("of_any_size")
def test_where_forgotten_samples_tell_what_is_left_all_is_looked_at_at_once() -> None:
    few = network(unseen=20)
    looks = Looks(few, base=few)
    (standing,) = looks.bench.attempt(GENTLE).judgement.standings.values()
    assert looks.named == [None]
    assert standing.rule is Rule.CHANCE


@pytest.mark.usefixtures("of_any_size")
@pytest.mark.parametrize(("rule", "named"), [(Rule.CHANCE, "first"), (Rule.LIKE_UNSEEN, None)])
def test_where_forgotten_samples_tell_what_is_given_back_all_is_looked_at_at_once(
    rule: Rule, named: str | None
) -> None:
    looks = Looks(KNOWN, kept={probes.COHORT: Kept(STRONG[COHORT], Known(rule, 0.0, 0.0))})
    looks.bench.attempt(GENTLE)
    assert looks.named[0] == named
    # Of what was judged at a glance it is told when it is looked at whole.
    assert looks.bench.ladder[looks.bench.take()].trial.judgement.given_back == {probes.COHORT}


@pytest.mark.usefixtures("of_any_size")
@pytest.mark.parametrize("sight", [KNOWN, unknown(KNOWN)])
def test_what_is_taken_is_looked_at_through_the_others_too(sight: Observed) -> None:
    looks = Looks(sight)
    looks.bench.attempt(GENTLE)
    looks.named.clear()
    looks.sights = [sight]
    choice = choose(looks.bench)
    assert choice.chosen.trial.judgement == looks.bench.gate.judge(sight)
    assert choice.chosen.seen.positions.tolist() == sorted(KNOWN.positions.tolist())
    assert len(looks.named) == 1
    # None is looked at twice.
    assert sum(looks.lengths) == len(KNOWN)


@pytest.mark.usefixtures("of_any_size")
def test_of_two_that_a_part_has_ruled_out_only_the_one_that_is_taken_is_looked_at_again() -> None:
    looks = Looks(KNOWN, damaged(KNOWN))
    trials = [looks.bench.attempt(each) for each in (GENTLE, STRONG)]
    assert all(trial.judgement.at_a_glance for trial in trials)
    looks.sights = [KNOWN]
    choice = choose(looks.bench)
    # What knows the label does no damage, and so is the nearest.
    assert choice.rung == 0
    assert not choice.chosen.trial.judgement.at_a_glance
    assert choice.chosen.trial.settings == GENTLE
    assert looks.bench.ladder[1].trial is trials[1]


@pytest.mark.usefixtures("of_any_size")
def test_what_all_of_the_probe_shows_decides_what_is_taken() -> None:
    looks = Looks(KNOWN, KNOWN)
    for each in (GENTLE, STRONG):
        looks.bench.attempt(each)
    # In what was not looked at yet the first one does damage.
    looks.sights = [damaged(KNOWN), KNOWN]
    choice = choose(looks.bench)
    assert choice.rung == 1
    assert looks.bench.ladder[0].trial.judgement.damage
    assert choice.chosen.is_whole
