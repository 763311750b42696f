"""From tasks and methods to cells: what is kept is skipped, the rest is measured now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from benchmarks.experiments.figures import Figures, measure
from benchmarks.experiments.methods import Method
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.store import Cell, Store
from benchmarks.experiments.tasks import Kind, Task
from benchmarks.experiments.training import Networks
from benchmarks.tools.timing import clock_of, finish

Measure = Callable[[nn.Module, Task], Figures]


@dataclass(frozen=True)
class Place:
    """A cell's place in the table."""

    kind: Kind
    task: str
    method: str
    seed: int


@dataclass(frozen=True)
class Measured(Place):
    """A cell and its place in the table."""

    cell: Cell


def run(
    tasks: Mapping[int, list[Task]],
    methods: Mapping[str, Method],
    networks: Networks,
    store: Store,
    measure: Measure = measure,
) -> list[Measured]:
    """Every method on every task of every seed, showing how far it is."""
    return fill(
        [
            (
                Place(task.kind, task.name, name, seed),
                partial(measured_now, task, method, networks, seed, measure),
            )
            for seed, of_seed in tasks.items()
            for task in of_seed
            for name, method in methods.items()
        ],
        store,
    )


def fill(places: Sequence[tuple[Place, Callable[[], Cell]]], store: Store) -> list[Measured]:
    """Every cell: the kept one, or the one that is measured now, showing how far it is."""
    measured = []
    with progress() as shown:
        bar = shown.add_task("", total=len(places))
        for place, measure_now in places:
            at = f"{place.task}, seed {place.seed}: {place.method}"
            shown.update(bar, description=at)
            cell = store.find(place.method, place.task, place.seed)
            if cell is None:
                cell = measure_now()
                store.keep(place.method, place.task, place.seed, cell)
            measured.append(Measured(**vars(place), cell=cell))
            shown.advance(bar)
    return measured


def measured_now(
    task: Task, method: Method, networks: Networks, seed: int, measure: Measure
) -> Cell:
    """Figures and seconds, or why there are none.

    The seconds are the method's alone, with all it needs the training set for, and with neither
    the training of the network it starts from nor the figures: a processor's, or on a GPU by the
    clock.
    """
    network = networks.trained(task.recipe, task.train, seed)
    finish()
    clock = clock_of(networks.device)
    started = clock()
    try:
        made = method(network, task, seed)
    except NotApplicable as reason:
        return {"not_applicable": str(reason)}
    finish()
    seconds = clock() - started
    forgetful = made if isinstance(made, Noted) else Noted(made, {})
    figures = {**asdict(measure(forgetful.network, task)), "seconds": seconds}
    return {"figures": figures, "notes": forgetful.notes}


def progress() -> Progress:
    """What is being measured, how many cells there are and how long it has taken."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
