"""What a worker of the model does next, and what may befall it."""

from collections.abc import Callable, Iterator

from tests.faults.protocol import transactions
from tests.faults.protocol.state import (
    NONE,
    RUNG,
    At,
    Database,
    Kind,
    Rules,
    RunState,
    State,
    Step,
    Worker,
)

IDLE = Worker(At.IDLE)
DONE = Worker(At.DONE)
# The heartbeat runs beside these.
AT_WORK = frozenset({At.LOADING, At.STORING, At.PUBLISHING, At.SETTLING, At.UNSURE})
LAST = {At.PUBLISHING: transactions.publish, At.SETTLING: transactions.settle_without_checkpoint}


def holds_lease(database: Database, worker: Worker) -> bool:
    """Whether it is at work under the present epoch, so that its heartbeat keeps the lease."""
    return worker.at in AT_WORK and _epoch(database, worker) == database.lease.epoch


def was_taken_over(database: Database, worker: Worker) -> bool:
    """Whether it is at work although the epoch has moved on."""
    return worker.at in AT_WORK and _epoch(database, worker) != database.lease.epoch


def work(state: State, rules: Rules, number: int) -> Iterator[Step]:
    """Its next step when nothing goes wrong, and its heartbeat's."""
    worker = state.workers[number]
    yield from _NEXT[worker.at](state, rules, number)
    if worker.at in AT_WORK:
        yield from _heartbeat(state, rules, number)


def mishaps(state: State, rules: Rules, number: int) -> Iterator[Step]:
    """What may go wrong with it now."""
    worker = state.workers[number]
    if worker.at is At.IDLE:
        return
    yield _step(state, number, Kind.CRASH, IDLE)
    if worker.at is At.CLAIMING:
        database, claimed = transactions.claim(state.database, rules)
        if claimed != IDLE:
            # The job ends with the error: nobody knows of the run until its lease has run out.
            yield _step(state, number, Kind.CLAIM_UNANSWERED, IDLE, database)
    if worker.at in LAST:
        unsure = worker._replace(at=At.UNSURE)
        yield _step(state, number, Kind.LOST_BEFORE_COMMIT, unsure)
        committed = _attempt(LAST[worker.at], state, rules, worker)
        if committed is not None:
            yield _step(state, number, Kind.LOST_AFTER_COMMIT, unsure, committed)
    if worker.at in AT_WORK and worker.at is not At.UNSURE:
        released = _attempt(transactions.give_up, state, rules, worker)
        yield _step(state, number, Kind.FAIL, DONE, released)


def _idle(state: State, rules: Rules, number: int) -> Iterator[Step]:
    if state.queue.waiting:
        taken = state._replace(queue=state.queue._replace(waiting=False))
        yield _step(taken, number, Kind.TAKE, Worker(At.TAKEN))


def _taken(state: State, rules: Rules, number: int) -> Iterator[Step]:
    # Before it looks for work: rings from now on need a job of their own.
    answered = state._replace(queue=state.queue._replace(marked=False))
    yield _step(answered, number, Kind.ANSWER, Worker(At.CLAIMING))


def _claiming(state: State, rules: Rules, number: int) -> Iterator[Step]:
    database, claimed = transactions.claim(state.database, rules)
    kind = Kind.CLAIM if claimed != IDLE else Kind.CLAIM_NOTHING
    yield _step(state, number, kind, claimed, database)


def _loading(state: State, rules: Rules, number: int) -> Iterator[Step]:
    worker = state.workers[number]
    if worker.fresh == NONE:
        yield _step(state, number, Kind.LOAD, worker._replace(at=At.SETTLING))
        return
    # Read in a transaction of its own, after the claim's: it may find a later head.
    carries = worker.fresh | (state.database.forgotten if rules.keep_earlier else NONE)
    at = At.PUBLISHING if rules.rows_before_files else At.STORING
    yield _step(state, number, Kind.LOAD, worker._replace(at=at, carries=carries))


def _storing(state: State, rules: Rules, number: int) -> Iterator[Step]:
    worker = state.workers[number]
    stored = state._replace(files=state.files | {worker.carries})
    after = DONE if rules.rows_before_files else worker._replace(at=At.PUBLISHING)
    yield _step(stored, number, Kind.STORE, after)


def _ending(state: State, rules: Rules, number: int) -> Iterator[Step]:
    worker = state.workers[number]
    database = _attempt(LAST[worker.at], state, rules, worker)
    if database is None:
        yield _step(state, number, Kind.REFUSED, DONE)
    elif worker.at is At.SETTLING:
        yield _step(state, number, Kind.SETTLE, DONE, database)
    else:
        after = worker._replace(at=At.STORING) if rules.rows_before_files else DONE
        yield _step(state, number, Kind.PUBLISH, after, database)


def _unsure(state: State, rules: Rules, number: int) -> Iterator[Step]:
    worker = state.workers[number]
    again = worker._replace(at=At.PUBLISHING if worker.fresh else At.SETTLING)
    if rules.trust_commit:
        yield _step(state, number, Kind.TRY_AGAIN, again)
        released = _attempt(transactions.give_up, state, rules, worker)
        yield _step(state, number, Kind.FAIL, DONE, released)
        return
    assert worker.run is not None
    run = state.database.runs[worker.run]
    if run.state is RunState.RUNNING and run.epoch == state.database.lease.epoch:
        yield _step(state, number, Kind.TRY_AGAIN, again)
    else:
        yield _step(state, number, Kind.FIND_ENDED, DONE)


def _done(state: State, rules: Rules, number: int) -> Iterator[Step]:
    more = transactions.has_free_items(state.database) and not state.queue.marked
    rung = state._replace(queue=RUNG) if more else state
    yield _step(rung, number, Kind.RING_FOR_MORE if more else Kind.FINISH, IDLE)


def _heartbeat(state: State, rules: Rules, number: int) -> Iterator[Step]:
    worker = state.workers[number]
    renewed = _attempt(transactions.renew, state, rules, worker)
    if renewed is None and was_taken_over(state.database, worker):
        yield _step(state, number, Kind.NOTICE, DONE)
    elif renewed is not None and renewed != state.database:
        yield _step(state, number, Kind.RENEW, worker, renewed)


_NEXT: dict[At, Callable[[State, Rules, int], Iterator[Step]]] = {
    At.IDLE: _idle,
    At.TAKEN: _taken,
    At.CLAIMING: _claiming,
    At.LOADING: _loading,
    At.STORING: _storing,
    At.PUBLISHING: _ending,
    At.SETTLING: _ending,
    At.UNSURE: _unsure,
    At.DONE: _done,
}


def _attempt(
    transaction: Callable[[Database, Worker, Rules], Database],
    state: State,
    rules: Rules,
    worker: Worker,
) -> Database | None:
    try:
        return transaction(state.database, worker, rules)
    except transactions.Refused:
        return None


def _step(
    state: State, number: int, kind: Kind, worker: Worker, database: Database | None = None
) -> Step:
    workers = (*state.workers[:number], worker, *state.workers[number + 1 :])
    after = state._replace(workers=workers, database=database or state.database)
    return Step(kind, after, number)


def _epoch(database: Database, worker: Worker) -> int | None:
    return None if worker.run is None else database.runs[worker.run].epoch
