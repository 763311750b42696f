"""What the demo prints: tables of what runs did, what a checkpoint knows, what was recorded."""

from typing import Any

from rich.console import Console
from rich.table import Table

from models.records import Phase

GROUPS = ("forgotten", "retained", "holdout", "holdout_of_retained_labels")


def print_run(console: Console, request: Any, run: Any) -> None:
    """What was asked, what the gate made of it, and the figures behind that."""
    verdict = run["verdict"]
    console.print(
        f"Request {request['id']}: {request['status']}, "
        + ", ".join(f"{count} {outcome}" for outcome, count in request["counts"].items())
        + f"; run {run['state']}."
    )
    _print_accuracies(console, verdict["figures"])
    _print_cohorts(console, verdict)
    weights = verdict["weights"]
    console.print(
        f"Weights dampened: {weights['dampened']:,} of {weights['total']:,} "
        f"({100 * weights['share']:.2f} %), the candidate on rung {verdict['rung']} of "
        f"{len(verdict['ladder'])} that were tried."
    )
    seconds = ", ".join(
        f"{phase} {run['timings'][phase]:.2f}" for phase in Phase if phase in run["timings"]
    )
    console.print(f"Seconds: {seconds}")
    for sentence in (*verdict["reasons"], *verdict["remarks"]):
        console.print(f"• {sentence}")


def _print_accuracies(console: Console, figures: Any) -> None:
    table = Table("accuracy on", "samples", "base", "candidate")
    for group in GROUPS:
        base, candidate = (figures[name][group]["accuracy"] for name in ("base", "candidate"))
        table.add_row(
            group.replace("_", " "),
            str(candidate["count"]) if candidate else "",
            percent(base and base["value"]),
            percent(candidate and candidate["value"]),
        )
    console.print(table)


def _print_cohorts(console: Console, verdict: Any) -> None:
    """Of a label forgotten whole, what is still recognised; else what a loss attack can tell."""
    table = Table("cohort", "samples", "α", "λ", "held against", "base", "candidate", "")
    for cohort in verdict["cohorts"]:
        by_chance = cohort["rule"] == "chance"
        table.add_row(
            cohort["name"],
            str(cohort["samples"]),
            f"{cohort['alpha']:.2f}",
            f"{cohort['lambda']:g}",
            "chance" if by_chance else "unseen",
            *(_deciding(cohort[network], by_chance) for network in ("base", "candidate")),
            cohort["candidate"]["closeness"],
        )
    console.print(table)
    console.print(
        "Against chance counts the share still recognised; against unseen samples, how often a "
        "forgotten one has the lower loss: 0.5 if nobody can tell them apart."
    )


def _deciding(standing: Any, by_chance: bool) -> str:
    estimate = standing["recognised"] if by_chance else (standing["attack"] or {}).get("area")
    if estimate is None:
        return "–"
    if by_chance:
        return percent(estimate["value"])
    return f"{estimate['value']:.3f} ({estimate['low']:.2f}–{estimate['high']:.2f})"


def print_fresh(console: Console, accuracies: dict[str, float | None]) -> None:
    """What the downloaded file classifies right, over all samples there are."""
    table = Table("all samples that are", "accuracy")
    for group, accuracy in accuracies.items():
        table.add_row(group, percent(accuracy))
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


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal."""
    return "–" if share is None else f"{100 * share:.1f} %"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}…"
