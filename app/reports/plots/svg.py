"""Drawing: SVG elements, scales, axes. Whatever goes into an element is escaped.

Colours and fonts are classes of the page's style sheet, so that plots follow it into the dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """`class_` is the attribute class; other underscores are hyphens. Floats get two decimals."""
    named = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _written(value))
        for name, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(
        tag, named, Markup("").join(escape(child) for child in children)
    )


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def picture(
    name: str, size: tuple[float, float], title: str, description: str, *children: Markup
) -> Markup:
    """A whole SVG. `name` is unique on the page; title and description are for those who listen."""
    width, height = size
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def text(x: float, y: float, said: str, anchor: str = "start", class_: str = "label") -> Markup:
    """Words, their baseline at y."""
    return element("text", said, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def polyline(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """Straight lines from point to point."""
    written = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return element("polyline", points=written, class_=class_)


@dataclass(frozen=True)
class Scale:
    """From numbers in [low, high] to places between start and end, logarithmically if asked."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Where the number lies."""
        low, high, value = (self._rank(each) for each in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def _rank(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def around(
    values: Sequence[float], start: float, end: float, *, logarithmic: bool = False
) -> Scale:
    """A scale on which all values have some room, a single one too."""
    low, high = min(values), max(values)
    if logarithmic:
        room = max((high / low) ** 0.08, 1.25)
        return Scale(low / room, high * room, start, end, logarithmic=True)
    room = 0.08 * (high - low) or abs(high) or 1.0
    return Scale(low - room, high + room, start, end)


def ticks(scale: Scale, count: int = 5) -> list[float]:
    """Round numbers on a scale, about so many."""
    if scale.logarithmic:
        lowest, highest = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
        decades = range(lowest, highest + 1)
        for factors in ((1, 2, 5), (1,)):
            found = [factor * 10.0**decade for decade in decades for factor in factors]
            found = [tick for tick in found if scale.low <= tick <= scale.high]
            if 3 <= len(found) <= count + 2:
                return found
        if len(found) > count:
            return found[:: -(-len(found) // count)]
    step = _step((scale.high - scale.low) / count)
    first = math.ceil(scale.low / step)
    return [index * step for index in range(first, math.floor(scale.high / step) + 1)]


def _step(rough: float) -> float:
    """The next of 1, 2, 5, 10, … times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
