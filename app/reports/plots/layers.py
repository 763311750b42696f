"""Where the weights were changed: layer by layer, the share dampened and the norm of the change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from app.reports import words
from app.reports.plots.svg import Scale, element, picture, text

WIDTH, ROW, TOP = 720.0, 20.0, 28.0
NAMES, SHARES, NORMS = 262.0, (272.0, 440.0), (520.0, 650.0)
# What fits into the column of names.
LONGEST = 40


@dataclass(frozen=True)
class Layer:
    """One parameter of the network; `norm` is the L2 norm of its change."""

    name: str
    total: int
    dampened: int
    share: float
    norm: float


def draw_layers(layers: Sequence[Layer]) -> Markup:
    """Two bars for each layer, in the order given."""
    share = Scale(0.0, max((layer.share for layer in layers), default=0.0) or 1.0, *SHARES)
    norm = Scale(0.0, max((layer.norm for layer in layers), default=0.0) or 1.0, *NORMS)
    return picture(
        "layers",
        (WIDTH, TOP + ROW * len(layers)),
        "Share of weights dampened and norm of the change, by layer",
        "; ".join(_said(layer) for layer in layers),
        text(SHARES[0], TOP - 12, "weights dampened", class_="axis"),
        text(NORMS[0], TOP - 12, "L2 norm of the change", class_="axis"),
        *(
            mark
            for index, layer in enumerate(layers)
            for mark in _row(layer, TOP + ROW * index, share, norm)
        ),
    )


def _said(layer: Layer) -> str:
    return f"{layer.name}: {words.percent(layer.share)}, norm {words.number(layer.norm)}"


def _row(layer: Layer, top: float, share: Scale, norm: Scale) -> Iterator[Markup]:
    baseline = top + ROW - 7
    short = layer.name if len(layer.name) <= LONGEST else f"…{layer.name[1 - LONGEST :]}"
    yield text(NAMES, baseline, short, "end")
    for scale, value, said, kind in (
        (share, layer.share, words.percent(layer.share), "share"),
        (norm, layer.norm, words.number(layer.norm), "norm"),
    ):
        yield element(
            "rect",
            element("title", _said(layer)),
            x=scale.start,
            y=top + 3,
            width=scale(value) - scale.start,
            height=ROW - 7,
            class_=f"bar {kind}",
        )
        yield text(scale(value) + 5, baseline, said)
