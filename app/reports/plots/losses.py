"""Loss histograms: whether the forgotten lie where the unseen do, before and after.

Three outlines over one axis, a panel for the base and one below it for the candidate. The outermost
bins are open: they hold whatever lies beyond them too.
"""

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from app.reports import words
from app.reports.plots.svg import Scale, element, line, picture, text

WIDTH, HEIGHT = 720.0, 340.0
LEFT, RIGHT = 58.0, WIDTH - 16.0
PANELS = {"base": (24.0, 144.0), "candidate": (176.0, 296.0)}
GROUPS = ("forgotten", "retained", "unseen")
EXPONENTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw_losses(
    edges: Sequence[float], networks: Mapping[str, Mapping[str, Sequence[float]]]
) -> Markup:
    """`edges` are of the logarithm to base 10; the histograms hold shares, by network and group."""
    x = Scale(edges[0], edges[-1], LEFT, RIGHT)
    tallest = max(
        (share for groups in networks.values() for shares in groups.values() for share in shares),
        default=0.0,
    )
    return picture(
        "losses",
        (WIDTH, HEIGHT),
        "How losses are spread among forgotten, retained and unseen samples",
        "; ".join(
            f"{network}, {group}: {_middle(edges, networks[network][group])}"
            for network in PANELS
            for group in GROUPS
        ),
        *_x_axis(x),
        *(
            mark
            for network, (top, bottom) in PANELS.items()
            for mark in _panel(
                network, edges, networks[network], x, Scale(0.0, tallest or 1.0, bottom, top)
            )
        ),
    )


def _middle(edges: Sequence[float], shares: Sequence[float]) -> str:
    """In words, the bin that holds the median."""
    total, passed = sum(shares), 0.0
    for share, low, high in zip(shares, edges, edges[1:], strict=False):
        passed += share
        if total and passed >= total / 2:
            return f"median loss between {10**low:.2g} and {10**high:.2g}"
    return "no samples"


def _x_axis(x: Scale) -> Iterator[Markup]:
    lowest, highest = round(x.low), round(x.high)
    for exponent in range(lowest, highest + 1):
        for top, bottom in PANELS.values():
            yield line(x(exponent), top, x(exponent), bottom, "grid")
        beyond = {lowest: "≤ ", highest: "≥ "}.get(exponent, "")
        said = f"{beyond}10{str(exponent).translate(EXPONENTS)}"
        yield text(x(exponent), HEIGHT - 28, said, "middle")
    yield text((LEFT + RIGHT) / 2, HEIGHT - 8, "loss of a sample", "middle", "axis")


def _panel(
    network: str,
    edges: Sequence[float],
    groups: Mapping[str, Sequence[float]],
    x: Scale,
    y: Scale,
) -> Iterator[Markup]:
    yield text(LEFT, y.end - 8, f"{network.capitalize()}: share of samples", class_="axis")
    for tick in (y.low, y.high):
        yield line(LEFT, y(tick), RIGHT, y(tick), "grid")
        yield text(LEFT - 6, y(tick) + 4, words.percent(tick), "end")
    for group in GROUPS:
        if any(groups[group]):
            outline = _outline(edges, groups[group], x, y)
            yield element("path", d=outline, class_=f"spread {group}")


def _outline(edges: Sequence[float], shares: Sequence[float], x: Scale, y: Scale) -> str:
    steps = "".join(
        f"V{y(share):.2f}H{x(edge):.2f}" for share, edge in zip(shares, edges[1:], strict=True)
    )
    return f"M{x(edges[0]):.2f} {y(0):.2f}{steps}V{y(0):.2f}"
