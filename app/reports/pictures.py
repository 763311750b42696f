"""Which plots a report has, and of what: from the document to the plain numbers that are drawn."""

import re
from dataclasses import dataclass, replace

from markupsafe import Markup

from app.reports import words
from app.reports.estimates import deciding, value_of
from app.reports.ladder import varied
from app.reports.plots.curve import Curve, Point, draw_curve
from app.reports.plots.layers import Layer, draw_layers
from app.reports.plots.losses import draw_losses
from models import documents
from models.documents import Report, Rule, Verdict

# More cohorts than that share one curve.
MOST_CURVES = 6
MOST_LAYERS = 30


@dataclass(frozen=True)
class Captioned:
    """A plot and what stands over it."""

    title: str
    drawn: Markup


def curves(verdict: Verdict) -> list[Captioned]:
    """A curve for each cohort whose setting was varied, one for all if they are many.

    None if a single candidate was tried: that makes no curve.
    """
    if len(verdict.ladder) < 2:
        return []
    names = varied(verdict)
    if len(names) > MOST_CURVES:
        found = [_of_all(verdict)]
    else:
        found = [_of_cohort(verdict, cohort) for cohort in verdict.cohorts if cohort.name in names]
    return [
        Captioned(curve.title, draw_curve(curve, f"curve-{index}"))
        for index, curve in enumerate(found)
        if curve.points
    ]


def losses(report: Report) -> Markup:
    """The loss histograms."""
    histograms = report.loss_histograms
    networks = {
        "base": histograms.base.model_dump(),
        "candidate": histograms.candidate.model_dump(),
    }
    return draw_losses(histograms.log10_edges, networks)


def layers(verdict: Verdict) -> list[Layer]:
    """All layers by name, numbers in names taken for numbers."""
    return [
        Layer(name, each.total, each.dampened, each.share, each.change_norm)
        for name, each in sorted(verdict.weights.layers.items(), key=_natural)
    ]


def layer_bars(verdict: Verdict) -> Markup | None:
    """The layers that changed most; None if none did."""
    everything = layers(verdict)
    changed = sorted((each for each in everything if each.dampened), key=lambda each: -each.norm)
    shown = set(changed[:MOST_LAYERS])
    return draw_layers([each for each in everything if each in shown]) if shown else None


def _natural(item: tuple[str, documents.LayerChange]) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", item[0])
    ]


def _of_cohort(verdict: Verdict, cohort: documents.CohortVerdict) -> Curve:
    name, by_attack = cohort.name, cohort.rule is Rule.LIKE_UNSEEN
    base = deciding(cohort.rule, cohort.base)
    points = []
    for number, rung in enumerate(verdict.ladder):
        estimate = deciding(cohort.rule, rung.cohorts[name])
        strength = _smaller_strength(verdict, number, name)
        points.append(_point(verdict, number, rung.settings[name].selection, estimate, strength))
    return Curve(
        title=words.title(name),
        axis="selection α (smaller selects more weights)",
        logarithmic=True,
        figure="Attack area"
        if by_attack
        else f"Share of {cohort.candidate.recognised_on} samples recognised",
        write=words.area if by_attack else words.percent,
        base=value_of(base),
        target=_target(cohort),
        # A logarithm has no place for 0.
        points=[point for point in points if point.x > 0],
    )


def _target(cohort: documents.CohortVerdict) -> float:
    if cohort.rule is Rule.LIKE_UNSEEN:
        return 0.5
    candidate = cohort.candidate
    # There is no bound where nothing could be told.
    target = candidate.expected if cohort.rule is Rule.EXPECTED else candidate.bound
    return target or 0.0


def _of_all(verdict: Verdict) -> Curve:
    return Curve(
        title="All cohorts",
        axis="L2 norm of the change of weights",
        logarithmic=False,
        figure="Greatest distance of a cohort from its target",
        write=words.area,
        base=None,
        target=0.0,
        points=[
            replace(
                _point(
                    verdict, number, rung.change_norm, None, _smallest_strength(verdict, number)
                ),
                figure=rung.distance,
            )
            for number, rung in enumerate(verdict.ladder)
        ],
    )


def _smallest_strength(verdict: Verdict, number: int) -> float | None:
    found = (_smaller_strength(verdict, number, cohort.name) for cohort in verdict.cohorts)
    return min((strength for strength in found if strength is not None), default=None)


def _smaller_strength(verdict: Verdict, number: int, name: str) -> float | None:
    """A rung's λ of a cohort where it is smaller than elsewhere on the ladder, but for α below."""
    setting = verdict.ladder[number].settings[name]
    greatest = max(rung.settings[name].strength for rung in verdict.ladder)
    smaller = setting.strength < min(greatest, setting.selection)
    return setting.strength if smaller else None


def _point(
    verdict: Verdict,
    number: int,
    x: float,
    figure: documents.Estimate | None,
    strength: float | None,
) -> Point:
    rung = verdict.ladder[number]
    return Point(
        rung=number,
        x=x,
        strength=strength,
        figure=figure.value if figure else None,
        low=figure.low if figure else None,
        high=figure.high if figure else None,
        retained=_after(rung.retained),
        unseen=_after(rung.holdout_of_retained_labels),
        passes=rung.passes,
        damages=bool(rung.damage),
        chosen=number == verdict.rung,
    )


def _after(fall: documents.Fall | None) -> float | None:
    return None if fall is None else fall.candidate
