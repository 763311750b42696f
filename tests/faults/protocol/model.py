"""The protocol of lease and publication as a model: every step that can be taken from a state.

Database transactions are single steps; everything between them can be cut off, overtaken or
delayed for as long as it likes. Time is not counted: a lease may run out at any moment at which
its holder does not renew it. What workers do stands in `workers.py`.
"""

from collections.abc import Iterator

from tests.faults.protocol.state import EMPTY, RUNG, Item, Kind, Rules, State, Step
from tests.faults.protocol.transactions import is_stranded
from tests.faults.protocol.workers import holds_lease, mishaps, work


def steps(state: State, rules: Rules) -> Iterator[Step]:
    """All that can happen next."""
    yield from _client(state, rules)
    yield from _redis(state)
    if rules.steward:
        yield from _steward(state)
    yield from _expiry(state)
    for number in range(len(state.workers)):
        yield from work(state, rules, number)
        if state.faults:
            yield from mishaps(state._replace(faults=state.faults - 1), rules, number)


def _client(state: State, rules: Rules) -> Iterator[Step]:
    posted = len(state.database.items)
    if posted < len(rules.samples):
        item = Item(rules.samples[posted], run=None, attempts=0, settled=0)
        database = state.database._replace(items=(*state.database.items, item))
        yield Step(Kind.POST, state._replace(database=database, queue=RUNG))


def _redis(state: State) -> Iterator[Step]:
    if state.queue != EMPTY:
        yield Step(Kind.FLUSH, state._replace(queue=EMPTY))
    if state.queue.marked and not state.queue.waiting:
        # Its job died with the worker that took it.
        yield Step(Kind.MARK_EXPIRES, state._replace(queue=EMPTY))


def _steward(state: State) -> Iterator[Step]:
    if not state.stranded:
        if is_stranded(state.database):
            yield Step(Kind.SEE, state._replace(stranded=True))
    elif state.queue.marked:
        yield Step(Kind.RING, state._replace(stranded=False))
    else:
        yield Step(Kind.RING, state._replace(stranded=False, queue=RUNG))


def _expiry(state: State) -> Iterator[Step]:
    lease = state.database.lease
    if not lease.alive:
        return
    after = state._replace(database=state.database._replace(lease=lease._replace(alive=False)))
    if not any(holds_lease(state.database, worker) for worker in state.workers):
        yield Step(Kind.EXPIRE, after)
    elif state.faults:
        yield Step(Kind.STALL, after._replace(faults=state.faults - 1))
