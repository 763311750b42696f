"""The transactions of the protocol: database in, database out, or `Refused`.

Each is one step of the model, because each locks the lease row first: PostgreSQL runs them one
after another. They follow `claims.py`, `publication.py`, `endings.py` and `settlement.py` in
`workers/transactions`.
"""

from tests.faults.protocol.state import (
    At,
    Checkpoint,
    Database,
    Lease,
    Rules,
    Run,
    RunState,
    Worker,
)


class Refused(Exception):
    """A safeguard rolls the transaction back."""


def claim(database: Database, rules: Rules) -> tuple[Database, Worker]:
    """Take the lease and what is free; the worker is idle afterwards if there is nothing."""
    if database.lease.alive:
        return database, Worker(At.IDLE)
    epoch = database.lease.epoch + 1
    database = database._replace(lease=Lease(epoch, alive=True, held=True))
    for number, run in enumerate(database.runs):
        if rules.end_abandoned and run.state is RunState.RUNNING:
            database = _end_run(database, number, RunState.ABANDONED, rules)
            if rules.release:
                database = _release(database, number, rules)
    if not has_free_items(database):
        return _give_back(database, epoch, rules), Worker(At.IDLE)
    number = len(database.runs)
    items = tuple(
        item._replace(run=number) if item.run is None and not item.settled else item
        for item in database.items
    )
    fresh = frozenset(item.sample for item in items if item.run == number) - database.forgotten
    run = Run(epoch, RunState.RUNNING, database.head)
    database = database._replace(items=items, runs=(*database.runs, run))
    return database, Worker(At.LOADING, number, fresh)


def publish(database: Database, worker: Worker, rules: Rules) -> Database:
    """Move the head, insert the checkpoint, settle the items, end the run, give the lease back."""
    number, run = _own(database, worker)
    _require_lease(database, run, rules)
    if rules.check_head and database.head != run.parent:
        raise Refused("The head has moved.")
    version = run.parent + 1
    if rules.unique and any(other.version == version for other in database.lineage):
        raise Refused("There is such a version already.")
    row = Checkpoint(version, run.parent, number, worker.carries)
    database = database._replace(
        head=version,
        lineage=(*database.lineage, row),
        forgotten=database.forgotten | worker.fresh,
    )
    return _settle(database, number, RunState.PUBLISHED, rules)


def settle_without_checkpoint(database: Database, worker: Worker, rules: Rules) -> Database:
    """End a run whose samples all are forgotten already."""
    number, run = _own(database, worker)
    _require_lease(database, run, rules)
    return _settle(database, number, RunState.NOTHING_TO_DO, rules)


def give_up(database: Database, worker: Worker, rules: Rules) -> Database:
    """End a run that failed; its items go back."""
    number, run = _own(database, worker)
    _require_lease(database, run, rules)
    database = _end_run(database, number, RunState.FAILED, rules)
    return _give_back(_release(database, number, rules), run.epoch, rules)


def renew(database: Database, worker: Worker, rules: Rules) -> Database:
    """What the heartbeat does."""
    _, run = _own(database, worker)
    _require_lease(database, run, rules)
    if not database.lease.held:
        raise Refused("It was given back.")
    return database._replace(lease=database.lease._replace(alive=True))


def has_free_items(database: Database) -> bool:
    """Whether a claim would find something to do."""
    return any(item.run is None and not item.settled for item in database.items)


def is_stranded(database: Database) -> bool:
    """What the steward asks: work, or a run without a worker, and nobody's lease is alive."""
    orphaned = any(run.state is RunState.RUNNING for run in database.runs)
    return not database.lease.alive and (orphaned or has_free_items(database))


def _own(database: Database, worker: Worker) -> tuple[int, Run]:
    assert worker.run is not None
    return worker.run, database.runs[worker.run]


def _require_lease(database: Database, run: Run, rules: Rules) -> None:
    if rules.check_epoch and database.lease.epoch != run.epoch:
        raise Refused("Another worker has taken over.")


def _end_run(database: Database, number: int, state: RunState, rules: Rules) -> Database:
    if rules.check_state and database.runs[number].state is not RunState.RUNNING:
        raise Refused("The run has ended already.")
    return database.run(number, state)


def _settle(database: Database, number: int, state: RunState, rules: Rules) -> Database:
    items = tuple(
        item._replace(settled=item.settled + 1)
        if item.run == number and not (item.settled and rules.pending_only)
        else item
        for item in database.items
    )
    database = _end_run(database._replace(items=items), number, state, rules)
    return _give_back(database, database.runs[number].epoch, rules)


def _release(database: Database, number: int, rules: Rules) -> Database:
    items = tuple(
        item._replace(run=None, attempts=item.attempts + 1)
        if item.run == number and not (item.settled and rules.pending_only)
        else item
        for item in database.items
    )
    return database._replace(items=items)


def _give_back(database: Database, epoch: int, rules: Rules) -> Database:
    if rules.check_epoch and database.lease.epoch != epoch:
        return database
    return database._replace(lease=database.lease._replace(alive=False, held=False))
