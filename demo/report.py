"""What the demo prints: tables of what runs did, what a checkpoint knows, what was recorded."""

from typing import Any

from rich.console import Console
from rich.table import Table

from app.reports import words
from app.reports.summary import summarise
from models.documents import Report
from models.records import Phase


def print_run(console: Console, request: Any, report: Report) -> None:
    """What became of a request, and what the run that carried it out reports."""
    console.print(
        f"Request {request['id']}: {request['status']}, "
        + ", ".join(f"{count} {outcome}" for outcome, count in request["counts"].items())
    )
    console.print(summarise(report), markup=False)
    weights, timings = report.verdict.weights, report.run.timings
    console.print(
        f"\nWeights dampened: {weights.dampened:,} of {weights.total:,} "
        f"({100 * weights.share:.2f} %)"
    )
    seconds = ", ".join(f"{phase} {timings[phase]:.2f}" for phase in Phase if phase in timings)
    console.print(f"Seconds: {seconds}")


def print_fresh(console: Console, accuracies: dict[str, float | None]) -> None:
    """What the downloaded file classifies right, over all samples there are."""
    table = Table("all samples that are", "accuracy")
    for group, accuracy in accuracies.items():
        table.add_row(group, words.percent(accuracy))
    console.print(table)


def print_audit(console: Console, records: list[Any]) -> None:
    """The events in order."""
    table = Table("#", "when", "event", "actor", "details")
    for record in records:
        table.add_row(
            str(record["sequence"]),
            record["recorded_at"][11:19],
            record["event"],
            record["actor"],
            ", ".join(f"{key} {_short(value)}" for key, value in record["details"].items()),
        )
    console.print(table)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}…"
