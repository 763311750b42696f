"""From cells to tables: means over seeds, and how far the seeds differ."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.experiments.sequences.runs import Measured
from benchmarks.experiments.summary import share_text, spread

# Scenario → strategy → "after" → request → figure → {"mean", "deviation", "by_seed"}; beside it
# "decisions" by seed, or "not_applicable" alone.
Summary = dict[str, dict[str, dict[str, Any]]]

TITLES = {
    "retained_test": "retained test",
    "lasting_test": "test of lasting labels",
    "forgotten": "forgotten",
    "loss_auc": "loss AUC",
}
# The same where there is no room.
HEADINGS = {
    "retained_test": "retained",
    "forgotten": "forgotten",
    "loss_auc": "AUC",
    "seconds": "s",
}
# Columns of the printed table, as many as fit a terminal: a figure after so many requests.
COLUMNS = (
    *(("retained_test", after) for after in (5, 20)),
    *(("forgotten", after) for after in (5, 20)),
    ("loss_auc", 20),
    ("seconds", 20),
)


def summarise(measured: Iterable[Measured]) -> Summary:
    """One entry for every scenario and strategy."""
    grouped: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    for each in measured:
        grouped[each.scenario][each.strategy].append(each)
    return {
        scenario: {strategy: _of_strategy(cells) for strategy, cells in strategies.items()}
        for scenario, strategies in grouped.items()
    }


def batching(found: Mapping[str, Mapping[str, Any]], after: int) -> dict[str, Any] | None:
    """In one scenario: how much more retained test accuracy one request at once would have left.

    As a share, seed by seed; None unless the service was asked both ways.
    """
    one_by_one, at_once = (
        found.get(name, {}).get("after", {}).get(after, {}).get("retained_test")
        for name in ("auto", "auto_at_once")
    )
    if not (one_by_one and at_once):
        return None
    return spread(
        {
            seed: at_once["by_seed"][seed] - value
            for seed, value in one_by_one["by_seed"].items()
            if seed in at_once["by_seed"]
        }
    )


def _of_strategy(cells: Sequence[Measured]) -> dict[str, Any]:
    reasons = [each.cell["not_applicable"] for each in cells if "not_applicable" in each.cell]
    if reasons:
        return {"not_applicable": reasons[0]}
    values: dict[int, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for each in cells:
        for entry in each.cell["requests"]:
            for figure, value in {**entry.get("figures", {}), "seconds": entry["seconds"]}.items():
                if "figures" in entry and value is not None:
                    values[entry["request"]][figure][each.seed] = value
    after = {
        request: {figure: spread(by_seed) for figure, by_seed in figures.items()}
        for request, figures in sorted(values.items())
    }
    decisions = {each.seed: _decisions(each) for each in cells}
    return {"after": after, **({"decisions": decisions} if any(decisions.values()) else {})}


def _decisions(measured: Measured) -> list[dict[str, Any]]:
    kept = ("request", "decision", "candidates", "reasons")
    return [
        {key: entry[key] for key in kept}
        for entry in measured.cell["requests"]
        if "decision" in entry
    ]


def show(summary: Summary, after: int, console: Console) -> None:
    """Print one table for each scenario, and what the service decided."""
    for scenario, strategies in summary.items():
        table = Table(title=scenario, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
        table.add_column("strategy", no_wrap=True)
        for figure, request in COLUMNS:
            table.add_column(f"{HEADINGS[figure]} {request}", justify="right")
        for strategy, found in strategies.items():
            table.add_row(strategy, *(_text(found, *column) for column in COLUMNS))
        console.print(table)
        for strategy, found in strategies.items():
            _show_notes(strategy, found, console)
        if difference := batching(strategies, after):
            console.print(
                f"All at once, the service would have left {100 * difference['mean']:+.2f} points "
                "of retained test accuracy."
            )


def _show_notes(strategy: str, found: Mapping[str, Any], console: Console) -> None:
    if "not_applicable" in found:
        console.print(f"{strategy} is not applicable: {found['not_applicable']}.")
    for seed, decisions in found.get("decisions", {}).items():
        counts = Counter(each["decision"] for each in decisions)
        said = ", ".join(f"{count} {decision}" for decision, count in counts.items())
        console.print(f"{strategy}, seed {seed}: {said}")


def _text(found: Mapping[str, Any], figure: str, request: int) -> str:
    value = found.get("after", {}).get(request, {}).get(figure)
    if value is None:
        return "-"
    return f"{value['mean']:.2f}" if figure == "seconds" else share_text(value)
