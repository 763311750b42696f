"""The α curve: what every rung of the ladder has achieved, above, and what it costs, below.

The same points are on both bands, one above the other. A rung is a filled circle if it passes, a
hollow one if not, crossed out if it costs too much; the one that was taken has a ring. Lines join
the rungs that differ by α alone; those with a smaller λ lie beside them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from app.reports import words
from app.reports.plots.svg import (
    Scale,
    around,
    element,
    line,
    picture,
    polyline,
    text,
    ticks,
)

WIDTH, HEIGHT = 560.0, 350.0
LEFT, RIGHT = 58.0, WIDTH - 16.0
UPPER, LOWER = (24.0, 174.0), (212.0, 302.0)


@dataclass(frozen=True)
class Point:
    """One rung. `low` and `high` are the interval of the figure, where it has one.

    `strength` is λ where that is smaller than elsewhere: of several cohorts the smallest.
    """

    rung: int
    x: float
    strength: float | None
    figure: float | None
    low: float | None
    high: float | None
    retained: float | None
    unseen: float | None
    passes: bool
    damages: bool
    chosen: bool


@dataclass(frozen=True)
class Curve:
    """All rungs over one axis: α of a cohort, or the norm of the change of weights."""

    title: str
    axis: str
    logarithmic: bool
    figure: str
    write: words.Show
    base: float | None
    target: float
    points: Sequence[Point]


def draw_curve(curve: Curve, name: str) -> Markup:
    """The picture of a curve."""
    points = sorted(curve.points, key=lambda point: point.x)
    x = around([point.x for point in points], LEFT, RIGHT, logarithmic=curve.logarithmic)
    return picture(
        name,
        (WIDTH, HEIGHT),
        f"{curve.title}: {curve.figure} and accuracy over {curve.axis}",
        "; ".join(_said(point, curve) for point in curve.points),
        *_x_axis(x, curve.axis),
        *_achieved(curve, points, x),
        *_paid(points, x),
    )


def _said(point: Point, curve: Curve) -> str:
    verdict = "passes" if point.passes else "costs too much" if point.damages else "does not pass"
    strength = "" if point.strength is None else f", λ {words.number(point.strength)}"
    return (
        f"Rung {point.rung}{' (taken)' if point.chosen else ''}: "
        f"{words.number(point.x)}{strength}, {curve.figure} {curve.write(point.figure)}, "
        f"retained {words.percent(point.retained)}, unseen {words.percent(point.unseen)}, {verdict}"
    )


def _x_axis(x: Scale, axis: str) -> Iterator[Markup]:
    for tick in ticks(x):
        for top, bottom in (UPPER, LOWER):
            yield line(x(tick), top, x(tick), bottom, "grid")
        yield text(x(tick), LOWER[1] + 16, words.number(tick), "middle")
    yield text((LEFT + RIGHT) / 2, HEIGHT - 8, axis, "middle", "axis")


def _y_axis(y: Scale, write: Callable[[float], str], said: str) -> Iterator[Markup]:
    for tick in ticks(y, 4):
        yield line(LEFT, y(tick), RIGHT, y(tick), "grid")
        yield text(LEFT - 6, y(tick) + 4, write(tick), "end")
    yield text(LEFT, y.end - 8, said, class_="axis")


def _achieved(curve: Curve, points: Sequence[Point], x: Scale) -> Iterator[Markup]:
    y = Scale(0.0, 1.0, UPPER[1], UPPER[0])
    yield from _y_axis(y, lambda tick: f"{tick:.2g}", curve.figure)
    levels = [(curve.target, "target")]
    if curve.base is not None:
        levels.append((curve.base, "base"))
    for level, said in levels:
        yield line(LEFT, y(level), RIGHT, y(level), f"level {said}")
        yield text(RIGHT, y(level) - 4, said, "end")
    known = [(point, x(point.x), y(point.figure)) for point in points if point.figure is not None]
    joined = [(across, up) for point, across, up in known if point.strength is None]
    yield polyline(joined, "forgotten")
    for point, across, up in known:
        if point.low is not None and point.high is not None:
            yield line(across, y(point.low), across, y(point.high), "whisker")
        yield _marker(point, across, up, _said(point, curve))


def _marker(point: Point, x: float, y: float, said: str) -> Markup:
    parts = [element("circle", cx=x, cy=y, r=4, class_="passes" if point.passes else "misses")]
    if point.damages:
        parts.append(element("path", d=_cross(x, y), class_="damage"))
    if point.chosen:
        parts.append(element("circle", cx=x, cy=y, r=9, class_="chosen"))
    return element("g", element("title", said), *parts, class_="rung")


def _paid(points: Sequence[Point], x: Scale) -> Iterator[Markup]:
    accuracies = [a for point in points for a in (point.retained, point.unseen) if a is not None]
    lowest = min(accuracies, default=0.0)
    # In steps of a twentieth, so that a fall of a point is not drawn as if it were everything.
    y = Scale(min(0.9, int(lowest * 20) / 20), 1.0, LOWER[1], LOWER[0])
    yield from _y_axis(y, lambda tick: f"{100 * tick:.0f} %", "Accuracy: ■ retained, ◆ unseen")
    for kind, values, mark in (
        ("retained", [point.retained for point in points], _square),
        ("unseen", [point.unseen for point in points], _diamond),
    ):
        known = [
            (point, (x(point.x), y(value)))
            for point, value in zip(points, values, strict=True)
            if value is not None
        ]
        yield polyline([place for point, place in known if point.strength is None], kind)
        for _, place in known:
            yield element("path", d=mark(*place, 3.5), class_=f"mark {kind}")


def _cross(x: float, y: float) -> str:
    return f"M{x - 6:.2f} {y - 6:.2f}l12 12m0 -12l-12 12"


def _square(x: float, y: float, r: float) -> str:
    return f"M{x - r:.2f} {y - r:.2f}h{2 * r}v{2 * r}h{-2 * r}z"


def _diamond(x: float, y: float, r: float) -> str:
    return f"M{x:.2f} {y - r:.2f}l{r} {r}l{-r} {r}l{-r} {-r}z"
