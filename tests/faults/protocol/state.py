"""What the model of lease and publication consists of: everything a step can see or change."""

from enum import StrEnum
from typing import NamedTuple

BASE = 0
NONE: frozenset[int] = frozenset()


class RunState(StrEnum):
    """The states of a run that matter here; what a judgement comes to is left out."""

    RUNNING = "running"
    PUBLISHED = "published"
    NOTHING_TO_DO = "nothing to do"
    FAILED = "failed"
    ABANDONED = "abandoned"


class At(StrEnum):
    """Where a worker's process stands: between two of its steps."""

    IDLE = "idle"
    # The job is out of the queue, its mark is still there.
    TAKEN = "taken"
    CLAIMING = "claiming"
    LOADING = "loading"
    STORING = "storing"
    PUBLISHING = "publishing"
    SETTLING = "settling"
    # The connection was lost around the commit.
    UNSURE = "unsure"
    DONE = "done"


class Lease(NamedTuple):
    """`alive` until its time has run out; `held` until it is given back."""

    epoch: int
    alive: bool
    held: bool


class Checkpoint(NamedTuple):
    """A row of the lineage: which run published it, and what its weights have forgotten."""

    version: int
    parent: int | None
    run: int | None
    forgotten: frozenset[int]


class Item(NamedTuple):
    """`settled` counts how often it was given an outcome; 0 is pending."""

    sample: int
    run: int | None
    attempts: int
    settled: int


class Run(NamedTuple):
    """A row of `unlearning_run`; its ID is its place."""

    epoch: int
    state: RunState
    parent: int


class Database(NamedTuple):
    """What transactions change, whole or not at all. `forgotten` is what the samples' rows say."""

    lease: Lease
    head: int
    lineage: tuple[Checkpoint, ...]
    forgotten: frozenset[int]
    items: tuple[Item, ...]
    runs: tuple[Run, ...]

    def run(self, number: int, state: RunState) -> "Database":
        """The same with one run in another state."""
        runs = list(self.runs)
        runs[number] = runs[number]._replace(state=state)
        return self._replace(runs=tuple(runs))


class Queue(NamedTuple):
    """Redis: a job that waits, and the mark that folds further rings into it."""

    waiting: bool
    marked: bool


EMPTY = Queue(waiting=False, marked=False)
RUNG = Queue(waiting=True, marked=True)


class Worker(NamedTuple):
    """One process and what it remembers: of the claim, and what it has loaded since."""

    at: At
    run: int | None = None
    fresh: frozenset[int] = NONE
    carries: frozenset[int] = NONE


class State(NamedTuple):
    """Everything. Files are content-addressed: one is known by what its weights have forgotten.

    `stranded` is what the steward has seen and not rung for yet; `faults` may still happen.
    """

    database: Database
    files: frozenset[frozenset[int]]
    queue: Queue
    stranded: bool
    workers: tuple[Worker, ...]
    faults: int


class Kind(StrEnum):
    """Everything that can happen, as a trace tells it."""

    POST = "the client posts an item, the gateway rings"
    FLUSH = "Redis loses everything"
    MARK_EXPIRES = "the mark of a lost job expires"
    SEE = "the steward sees stranded work"
    RING = "the steward rings"
    EXPIRE = "the lease of a dead worker runs out"
    STALL = "the lease of a stalled worker runs out"
    TAKE = "takes the job"
    ANSWER = "takes the mark away"
    CLAIM = "claims"
    CLAIM_NOTHING = "claims and finds nothing to do"
    LOAD = "loads and computes"
    STORE = "stores the file"
    PUBLISH = "publishes"
    SETTLE = "settles without a checkpoint"
    REFUSED = "tries to end its run and is refused"
    TRY_AGAIN = "goes back to its last transaction"
    FIND_ENDED = "reads that its run has ended"
    RING_FOR_MORE = "is done, and rings for what has come meanwhile"
    FINISH = "is done"
    RENEW = "renews the lease"
    NOTICE = "notices that it was taken over"
    CRASH = "is killed"
    CLAIM_UNANSWERED = "claims, and loses the connection before it hears so"
    LOST_BEFORE_COMMIT = "loses the connection before its commit"
    LOST_AFTER_COMMIT = "commits, and loses the connection before it hears so"
    FAIL = "fails and gives its run up"


# Progress must be possible without these.
FAULTS = frozenset(
    {
        Kind.FLUSH,
        Kind.STALL,
        Kind.CRASH,
        Kind.CLAIM_UNANSWERED,
        Kind.LOST_BEFORE_COMMIT,
        Kind.LOST_AFTER_COMMIT,
        Kind.FAIL,
    }
)


class Step(NamedTuple):
    """One step: what happens, what is then, and which worker did it."""

    kind: Kind
    after: State
    worker: int | None = None


class Rules(NamedTuple):
    """The safeguards of the protocol, each of which can be taken away, and how much may happen."""

    # Everything a run writes compares the lease's epoch with the run's.
    check_epoch: bool = True
    # The head moves only from the parent the run began with.
    check_head: bool = True
    # A run that has ended does not end again.
    check_state: bool = True
    # Unique (model, version) and (model, parent).
    unique: bool = True
    # An outcome is given to pending items only.
    pending_only: bool = True
    # The claim ends the run that it finds without a worker, and gives its items back.
    end_abandoned: bool = True
    release: bool = True
    # A version is computed from everything forgotten so far, not from its batch alone.
    keep_earlier: bool = True
    # There is a steward.
    steward: bool = True
    # A row may name a file that is stored afterwards.
    rows_before_files: bool = False
    # A commit whose answer was lost is taken for one that failed.
    trust_commit: bool = False
    # What the client asks for, item by item.
    samples: tuple[int, ...] = (0, 1)
    workers: int = 2
    faults: int = 2


def first_state(rules: Rules) -> State:
    """Enrolled, nothing asked for yet."""
    database = Database(
        lease=Lease(epoch=0, alive=False, held=False),
        head=BASE,
        lineage=(Checkpoint(BASE, None, None, NONE),),
        forgotten=NONE,
        items=(),
        runs=(),
    )
    return State(
        database=database,
        files=frozenset({NONE}),
        queue=EMPTY,
        stranded=False,
        workers=(Worker(At.IDLE),) * rules.workers,
        faults=rules.faults,
    )
