"""What must hold in every state, and of every step."""

from collections.abc import Callable

from tests.faults.protocol.state import RunState, State, Step
from tests.faults.protocol.workers import was_taken_over

ONE_LINE = "versions are dense and form one line"
NO_VERSION_TWICE = "no version is there twice"
HEAD_IS_LAST = "the head is the last checkpoint"
GROWS = "a version has forgotten everything that its parent has"
FILES_ARE_THERE = "a row never names a file that is not there"
SETTLED_ONCE = "an item is settled at most once"
NOTHING_STUCK = "a pending item is free, or its run is running"
SETTLED_IS_FORGOTTEN = "what is settled is forgotten by the head"
ONE_RUN = "one run at most is running"
ONLY_PUBLISHED = "a checkpoint's run has ended as published, and others have no checkpoint"
ENDED_STAYS = "a run that has ended stays as it ended"
STALE_CHANGES_NOTHING = "a worker that was taken over changes nothing"


def broken_in(state: State) -> list[str]:
    """The invariants that do not hold in a state."""
    return [name for name, holds in INVARIANTS.items() if not holds(state)]


def broken_by(before: State, step: Step) -> list[str]:
    """The invariants that a step breaks, wherever it leads."""
    old, new = before.database, step.after.database
    if old is new:
        return []
    names = []
    if any(
        run.state is not RunState.RUNNING and run != new.runs[number]
        for number, run in enumerate(old.runs)
    ):
        names.append(ENDED_STAYS)
    actor = None if step.worker is None else before.workers[step.worker]
    if actor is not None and was_taken_over(old, actor) and old != new:
        names.append(STALE_CHANGES_NOTHING)
    return names


def is_settled(state: State, expected: int) -> bool:
    """Whether all items that the client has were accepted and have their outcome."""
    items = state.database.items
    return len(items) == expected and all(item.settled for item in items)


def _one_line(state: State) -> bool:
    parents: list[int | None] = [None, *range(len(state.database.lineage) - 1)]
    return [row.parent for row in state.database.lineage] == parents


def _no_version_twice(state: State) -> bool:
    versions = [row.version for row in state.database.lineage]
    return len(versions) == len(set(versions))


def _head_is_last(state: State) -> bool:
    return state.database.head == max(row.version for row in state.database.lineage)


def _grows(state: State) -> bool:
    of = {row.version: row.forgotten for row in state.database.lineage}
    return all(
        row.parent is None or row.forgotten >= of[row.parent] for row in state.database.lineage
    )


def _files_are_there(state: State) -> bool:
    return all(row.forgotten in state.files for row in state.database.lineage)


def _settled_once(state: State) -> bool:
    return all(item.settled <= 1 for item in state.database.items)


def _nothing_stuck(state: State) -> bool:
    runs = state.database.runs
    return all(
        item.settled or item.run is None or runs[item.run].state is RunState.RUNNING
        for item in state.database.items
    )


def _settled_is_forgotten(state: State) -> bool:
    head = state.database.lineage[-1].forgotten
    return all(item.sample in head for item in state.database.items if item.settled)


def _one_run(state: State) -> bool:
    return sum(run.state is RunState.RUNNING for run in state.database.runs) <= 1


def _only_published(state: State) -> bool:
    published = [
        number for number, run in enumerate(state.database.runs) if run.state is RunState.PUBLISHED
    ]
    epochs = {state.database.runs[number].epoch for number in published}
    named = [row.run for row in state.database.lineage if row.run is not None]
    return sorted(named) == published and len(epochs) == len(published)


INVARIANTS: dict[str, Callable[[State], bool]] = {
    ONE_LINE: _one_line,
    NO_VERSION_TWICE: _no_version_twice,
    HEAD_IS_LAST: _head_is_last,
    GROWS: _grows,
    FILES_ARE_THERE: _files_are_there,
    SETTLED_ONCE: _settled_once,
    NOTHING_STUCK: _nothing_stuck,
    SETTLED_IS_FORGOTTEN: _settled_is_forgotten,
    ONE_RUN: _one_run,
    ONLY_PUBLISHED: _only_published,
}
NAMES = frozenset(INVARIANTS) | {STALE_CHANGES_NOTHING, ENDED_STAYS}
