"""The report as one self-contained HTML page."""

from typing import Any


def render(report: dict[str, Any]) -> str:
    """The page of a report (app/reports/document.py)."""
    return f"<!doctype html><title>Run {report['run']['id']}</title>"
