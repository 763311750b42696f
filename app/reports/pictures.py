"""Which plots a report has, and of what: from the document to the plain numbers that are drawn."""

import re
from dataclasses import dataclass

from markupsafe import Markup

from app.reports import words
from app.reports.estimates import deciding, value_of
from app.reports.ladder import varied
from app.reports.plots.curve import Curve, Point, draw_curve
from app.reports.plots.layers import Layer, draw_layers
from app.reports.plots.losses import draw_losses
from models.records.base import Json

# More cohorts than that share one curve.
MOST_CURVES = 6
MOST_LAYERS = 30


@dataclass(frozen=True)
class Captioned:
    """A plot and what stands over it."""

    title: str
    drawn: Markup


def curves(verdict: Json) -> list[Captioned]:
    """A curve for each cohort whose setting was varied, one for all if they are many.

    None if a single candidate was tried: that makes no curve.
    """
    if len(verdict["ladder"]) < 2:
        return []
    names = varied(verdict)
    if len(names) > MOST_CURVES:
        found = [_of_all(verdict)]
    else:
        found = [
            _of_cohort(verdict, cohort) for cohort in verdict["cohorts"] if cohort["name"] in names
        ]
    return [
        Captioned(curve.title, draw_curve(curve, f"curve-{index}"))
        for index, curve in enumerate(found)
        if curve.points
    ]


def losses(report: Json) -> Markup:
    """The loss histograms."""
    histograms = report["loss_histograms"]
    networks = {network: histograms[network] for network in ("base", "candidate")}
    return draw_losses(histograms["log10_edges"], networks, "losses")


def layers(verdict: Json) -> list[Layer]:
    """All layers by name, numbers in names taken for numbers."""
    return [
        Layer(name, each["total"], each["dampened"], each["share"], each["change_norm"])
        for name, each in sorted(verdict["weights"]["layers"].items(), key=_natural)
    ]


def layer_bars(verdict: Json) -> Markup | None:
    """The layers that changed most; None if none did."""
    everything = layers(verdict)
    changed = sorted((each for each in everything if each.dampened), key=lambda each: -each.norm)
    shown = set(changed[:MOST_LAYERS])
    return draw_layers([each for each in everything if each in shown], "layers") if shown else None


def _natural(item: tuple[str, Json]) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", item[0])
    ]


def _of_cohort(verdict: Json, cohort: Json) -> Curve:
    name, by_attack = cohort["name"], cohort["rule"] == "like_unseen"
    base = deciding(cohort["rule"], cohort["base"])
    points = []
    for number, rung in enumerate(verdict["ladder"]):
        estimate = deciding(cohort["rule"], rung["cohorts"][name]) or {}
        strength = _smaller_strength(verdict, number, name)
        points.append(_point(verdict, number, rung["settings"][name]["alpha"], estimate, strength))
    return Curve(
        title=words.title(name),
        axis="selection α (smaller selects more weights)",
        logarithmic=True,
        figure="Attack area"
        if by_attack
        else f"Share of {cohort['candidate']['recognised_on']} samples recognised",
        write=words.area if by_attack else words.percent,
        base=value_of(base),
        target=_target(cohort),
        # A logarithm has no place for 0.
        points=[point for point in points if point.x > 0],
    )


def _target(cohort: Json) -> float:
    if cohort["rule"] == "like_unseen":
        return 0.5
    candidate = cohort["candidate"]
    # There is no bound where nothing could be told.
    target: float | None = candidate["expected" if cohort["rule"] == "expected" else "bound"]
    return target or 0.0


def _of_all(verdict: Json) -> Curve:
    return Curve(
        title="All cohorts",
        axis="L2 norm of the change of weights",
        logarithmic=False,
        figure="Greatest distance of a cohort from its target",
        write=words.area,
        base=None,
        target=0.0,
        points=[
            _point(
                verdict,
                number,
                rung["change_norm"],
                {"value": rung["distance"]},
                _smallest_strength(verdict, number),
            )
            for number, rung in enumerate(verdict["ladder"])
        ],
    )


def _smallest_strength(verdict: Json, number: int) -> float | None:
    found = (_smaller_strength(verdict, number, cohort["name"]) for cohort in verdict["cohorts"])
    return min((strength for strength in found if strength is not None), default=None)


def _smaller_strength(verdict: Json, number: int, name: str) -> float | None:
    """A rung's λ of a cohort where it is smaller than elsewhere on the ladder, but for α below."""
    setting = verdict["ladder"][number]["settings"][name]
    greatest = max(rung["settings"][name]["lambda"] for rung in verdict["ladder"])
    strength: float = setting["lambda"]
    return strength if strength < min(greatest, setting["alpha"]) else None


def _point(verdict: Json, number: int, x: float, estimate: Json, strength: float | None) -> Point:
    rung = verdict["ladder"][number]
    retained, unseen = rung["retained"], rung["holdout_of_retained_labels"]
    return Point(
        rung=number,
        x=x,
        strength=strength,
        figure=estimate.get("value"),
        low=estimate.get("low"),
        high=estimate.get("high"),
        retained=retained and retained["candidate"],
        unseen=unseen and unseen["candidate"],
        passes=rung["passes"],
        damages=bool(rung["damage"]),
        chosen=number == verdict["rung"],
    )
