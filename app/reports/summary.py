"""The report as a few lines of text, for a terminal."""

from collections.abc import Iterable, Iterator

from app.reports import findings, words
from app.reports.estimates import Estimate
from app.reports.findings import CohortFinding, Cost, PoolFinding
from app.reports.headlines import budget, headline, request
from models.documents import Report, Verdict


def summarise(report: Report) -> str:
    """Outcome, reasons, cohorts and cost of a report (`models/documents`)."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    run, verdict, said = report.run, report.verdict, headline(report)
    yield f"{said.sign} {said.title}"
    yield f"Run {run.id} of {run.model}: {run.state}"
    yield ""
    yield said.explanation
    yield request(report)
    yield from _listed("Reasons", verdict.reasons)
    yield from _listed("Remarks", verdict.remarks)
    taken = f"Rung {verdict.rung} of {words.counted(len(verdict.ladder), 'candidate')}"
    yield from _listed(f"{taken}, base → candidate", _findings(verdict))
    yield from _listed("Accuracy, base → candidate", map(_cost, findings.costs(verdict)))
    spent = filter(None, (budget(verdict), findings.uncounted(verdict)))
    yield f"  - Damage budget: {'; '.join(spent)}"


def _listed(heading: str, sentences: Iterable[str]) -> Iterator[str]:
    listed = [f"  - {sentence}" for sentence in sentences]
    if listed:
        yield from ("", f"{heading}:", *listed)


def _findings(verdict: Verdict) -> Iterator[str]:
    for cohort in findings.cohorts(verdict):
        yield (
            f"{cohort.title}, {words.samples(cohort.samples)}, α {words.number(cohort.alpha)}, "
            f"λ {words.number(cohort.strength)}: {_figures(cohort)}"
        )
    if pool := findings.pool(verdict):
        yield f"{pool.title}: {_figures(pool)}"


def _figures(found: CohortFinding | PoolFinding) -> str:
    figures = " → ".join(_estimate(standing.figure) for standing in (found.base, found.candidate))
    return f"{found.figure} {figures} ({found.candidate.sign} {found.candidate.words})"


def _cost(cost: Cost) -> str:
    figures = " → ".join(_estimate(estimate) for estimate in (cost.base, cost.candidate))
    return f"{cost.what}: {figures}, {cost.change} points (allowed: {cost.allowed})"


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return words.MISSING
    return f"{estimate.value} ({estimate.interval}; {words.samples(estimate.count)})"
