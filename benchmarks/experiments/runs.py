"""From tasks and methods to cells: what is kept is skipped, the rest is measured now."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.experiments.figures import measure
from benchmarks.experiments.methods import Method
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.refusals import NotApplicable
from benchmarks.experiments.store import Cell, Store
from benchmarks.experiments.tasks import Kind, Task
from benchmarks.experiments.training import Networks


@dataclass(frozen=True)
class Measured:
    """A cell and its place in the table."""

    kind: Kind
    task: str
    method: str
    seed: int
    cell: Cell


def run(
    tasks: Mapping[int, list[Task]],
    methods: Mapping[str, Method],
    networks: Networks,
    store: Store,
) -> list[Measured]:
    """Every method on every task of every seed, showing how far it is."""
    places = [
        (seed, task, name)
        for seed, of_seed in tasks.items()
        for task in of_seed
        for name in methods
    ]
    measured = []
    with progress() as shown:
        bar = shown.add_task("", total=len(places))
        for seed, task, name in places:
            shown.update(bar, description=f"{task.name}, seed {seed}: {name}")
            cell = store.find(name, task.name, seed)
            if cell is None:
                cell = measured_now(task, methods[name], networks, seed)
                store.keep(name, task.name, seed, cell)
            measured.append(Measured(task.kind, task.name, name, seed, cell))
            shown.advance(bar)
    return measured


def measured_now(task: Task, method: Method, networks: Networks, seed: int) -> Cell:
    """Figures and seconds, or why there are none.

    The seconds are the method's alone, with all it needs the training set for, and with neither
    the training of the network it starts from nor the figures.
    """
    network = networks.trained(task.recipe, task.train, seed)
    started = time.perf_counter()
    try:
        made = method(network, task, seed)
    except NotApplicable as reason:
        return {"not_applicable": str(reason)}
    seconds = time.perf_counter() - started
    forgetful = made if isinstance(made, Noted) else Noted(made, {})
    figures = {**asdict(measure(forgetful.network, task)), "seconds": seconds}
    return {"figures": figures, "notes": forgetful.notes}


def progress() -> Progress:
    """What is being measured, how many cells there are and how long it has taken."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )
