import sys
import time
from collections import Counter

import pytest

from tests.faults.protocol import invariants
from tests.faults.protocol.exploration import Exploration
from tests.faults.protocol.state import Kind, Rules
from tests.faults.protocol.telling import tell

# Two workers and a steward in all of them. The second has one sample in two requests: then there
# are runs that find it forgotten already.
WHOLE = (Rules(samples=(0, 1), faults=2), Rules(samples=(0, 0), faults=1))

# What is taken away, how many faults it takes to show, and which invariants break.
COUNTEREXAMPLES = {
    "the epoch check": (
        Rules(check_epoch=False, faults=2),
        {invariants.STALE_CHANGES_NOTHING},
    ),
    "the epoch check, and that a run ends once": (
        Rules(check_epoch=False, check_state=False, faults=1),
        {invariants.STALE_CHANGES_NOTHING, invariants.ENDED_STAYS},
    ),
    "the epoch check, all that stands behind it, and the head check": (
        Rules(check_epoch=False, check_state=False, unique=False, check_head=False, faults=1),
        {
            invariants.STALE_CHANGES_NOTHING,
            invariants.ENDED_STAYS,
            invariants.NO_VERSION_TWICE,
            invariants.ONE_LINE,
            invariants.HEAD_IS_LAST,
            invariants.SETTLED_IS_FORGOTTEN,
        },
    ),
    "files before rows": (Rules(rows_before_files=True, faults=1), {invariants.FILES_ARE_THERE}),
    "reading again after a lost connection, and that a run ends once": (
        Rules(trust_commit=True, check_state=False, faults=1),
        {invariants.ONLY_PUBLISHED, invariants.ENDED_STAYS},
    ),
    "reading again after a lost connection, and all that stands behind it": (
        Rules(
            trust_commit=True,
            check_state=False,
            check_head=False,
            unique=False,
            pending_only=False,
            faults=1,
        ),
        {
            invariants.SETTLED_ONCE,
            invariants.NO_VERSION_TWICE,
            invariants.ONE_LINE,
            invariants.ONLY_PUBLISHED,
            invariants.ENDED_STAYS,
        },
    ),
    "ending the run of a dead worker": (
        Rules(end_abandoned=False, faults=1),
        {invariants.ONE_RUN},
    ),
    "giving back the items of a dead worker": (
        Rules(release=False, faults=1),
        {invariants.NOTHING_STUCK},
    ),
    "computing every version from everything forgotten": (
        Rules(keep_earlier=False, faults=0),
        {invariants.GROWS, invariants.SETTLED_IS_FORGOTTEN},
    ),
}

# What is taken away, and what still stands in for it.
STAND_INS = {
    "every check but the epoch's: the epoch is enough": Rules(
        check_head=False, check_state=False, unique=False, pending_only=False, faults=1
    ),
    "the head check when a commit is guessed about: the run has ended already": Rules(
        trust_commit=True, check_head=False, unique=False, pending_only=False, faults=1
    ),
    "the epoch check after one fault: a run that was ended cannot publish": Rules(
        check_epoch=False, check_head=False, unique=False, faults=1
    ),
}


@pytest.fixture(scope="module")
def whole() -> list[Exploration]:
    """All interleavings under the rules as they are."""
    return [_timed(rules) for rules in WHOLE]


def test_all_interleavings_keep_every_invariant(whole: list[Exploration]) -> None:
    for exploration in whole:
        _tell_violations(exploration)
        assert not exploration.violations
    assert sum(len(exploration.states) for exploration in whole) > 50_000


def test_from_every_state_all_items_can_still_be_settled(whole: list[Exploration]) -> None:
    for exploration in whole:
        trapped = exploration.trapped()
        assert not trapped, tell(exploration.trace(trapped[0]))


def test_every_kind_of_step_is_taken(whole: list[Exploration]) -> None:
    taken = sum((exploration.kinds for exploration in whole), start=Counter[Kind]())
    for kind in Kind:
        _say(f"{taken[kind]:9,}  {kind.value}")
    assert set(Kind) == {kind for kind, count in taken.items() if count}


@pytest.mark.parametrize("removed", COUNTEREXAMPLES)
def test_a_removed_safeguard_is_found(removed: str) -> None:
    rules, expected = COUNTEREXAMPLES[removed]
    exploration = _timed(rules, until=frozenset(expected))
    _say(f"Without {removed}:")
    _tell_violations(exploration)
    assert set(exploration.violations) == expected


@pytest.mark.parametrize("removed", STAND_INS)
def test_another_safeguard_stands_in(removed: str) -> None:
    exploration = _timed(STAND_INS[removed])
    _tell_violations(exploration)
    assert not exploration.violations
    assert not exploration.trapped()


def test_without_a_steward_a_lost_ring_strands_its_item() -> None:
    exploration = _timed(Rules(steward=False, faults=0))
    trapped = exploration.trapped()
    assert trapped
    _say(tell(exploration.trace(trapped[0])))
    assert not exploration.violations
    assert Kind.FLUSH in {step.kind for step in exploration.trace(trapped[0])}


def test_every_invariant_is_broken_by_some_removal() -> None:
    breakable = {name for _, expected in COUNTEREXAMPLES.values() for name in expected}
    assert breakable == invariants.NAMES


def _timed(rules: Rules, until: frozenset[str] | None = None) -> Exploration:
    began = time.process_time()
    found = Exploration(rules).run(until)
    seconds = time.process_time() - began
    _say(
        f"\n{len(found.states):,} states, {found.transitions:,} transitions of "
        f"{rules.workers} workers, {len(rules.samples)} items, {rules.faults} faults: "
        f"{seconds:.1f} s"
    )
    return found


def _tell_violations(exploration: Exploration) -> None:
    # Several invariants may break at the same step: it is told once.
    names_of: dict[str, list[str]] = {}
    for name, (place, step) in exploration.violations.items():
        names_of.setdefault(tell(exploration.trace(place, step)), []).append(name)
    for trace, names in names_of.items():
        _say("".join(f"  Broken: {name}\n" for name in names) + trace)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
