"""The report as one self-contained HTML page: templates, a style sheet and inline SVG.

Whatever comes from data is escaped by the templates, and the page forbids itself scripts and all
that lies outside of it.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined

from app.reports import findings, headlines, ladder, pictures, tables, words
from models.documents import Report


def render(report: Report) -> str:
    """The page of a report (`models/documents`)."""
    verdict = report.verdict
    return _PAGES.get_template("page.html").render(
        run=report.run,
        verdict=verdict,
        headline=headlines.headline(report),
        request=headlines.request(report),
        glances=tables.glances(verdict),
        budget=headlines.budget(verdict),
        uncounted=findings.uncounted(verdict),
        retrain=headlines.RETRAIN,
        cohorts=findings.cohorts(verdict),
        pool=findings.pool(verdict),
        costs=findings.costs(verdict),
        labels=findings.labels(verdict),
        rungs=ladder.rungs(verdict),
        curves=pictures.curves(verdict),
        losses=pictures.losses(report),
        layer_bars=pictures.layer_bars(verdict),
        most_layers=pictures.MOST_LAYERS,
        layers=pictures.layers(verdict),
        others=tables.others(report),
        policy=tables.policy(verdict.policy),
        facts=tables.facts(report),
    )


# Those of words.py.
_FILTERS = ("percent", "points", "area", "number", "samples", "moment", "change", "change_of")


def _pages() -> Environment:
    pages = Environment(
        loader=PackageLoader("app.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update({name: getattr(words, name) for name in _FILTERS})
    return pages


_PAGES = _pages()
