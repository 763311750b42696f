"""A path through the model in words, and what the rows say after each step."""

from collections.abc import Iterable

from tests.faults.protocol.state import Item, State, Step


def tell(trace: Iterable[Step]) -> str:
    """One step a line."""
    return "\n".join(
        f"{number:4}. {_happening(step):66} {_rows(step.after)}"
        for number, step in enumerate(trace, start=1)
    )


def _happening(step: Step) -> str:
    if step.worker is None:
        return step.kind.value
    return f"worker {step.worker + 1} {step.kind.value}"


def _rows(state: State) -> str:
    database = state.database
    lease = "alive" if database.lease.alive else "free"
    versions = " ".join(f"{row.version}{_braces(row.forgotten)}" for row in database.lineage)
    runs = " ".join(f"{number}:{run.state.value}" for number, run in enumerate(database.runs))
    items = " ".join(_item(item) for item in database.items)
    return (
        f"| epoch {database.lease.epoch} {lease:5} | head {database.head} of {versions} "
        f"| runs {runs or '-'} | items {items or '-'}"
    )


def _item(item: Item) -> str:
    if item.settled:
        return f"{item.sample}:settled" + (f" {item.settled} times" if item.settled > 1 else "")
    return f"{item.sample}:" + ("free" if item.run is None else f"run {item.run}")


def _braces(samples: frozenset[int]) -> str:
    return "{" + ",".join(map(str, sorted(samples))) + "}"
