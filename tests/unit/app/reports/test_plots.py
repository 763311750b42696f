"""The plots: marks lie where the numbers say, and can be read by those who do not see them."""

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from app.reports import words
from app.reports.pictures import curves, layer_bars, losses
from app.reports.plots import curve as curve_plot
from app.reports.plots.curve import Curve, Point, draw_curve
from app.reports.plots.layers import Layer, draw_layers
from app.reports.plots.losses import PANELS, draw_losses
from app.reports.plots.svg import Scale, around, ticks
from tests.support.reports import make_report, read, verdict_of

MIDDLE = sum(curve_plot.UPPER) / 2


def point(rung: int, x: float, figure: float | None, **more: Any) -> Point:
    given = {
        "strength": None,
        "low": None,
        "high": None,
        "retained": 0.99,
        "unseen": 0.95,
        "passes": False,
        "damages": False,
        "chosen": False,
    }
    return Point(rung=rung, x=x, figure=figure, **{**given, **more})


def drawn(*points: Point, logarithmic: bool = True, base: float | None = None) -> ET.Element:
    return ET.fromstring(
        draw_curve(
            Curve(
                title="Label 0",
                axis="α",
                logarithmic=logarithmic,
                figure="Attack area",
                write=words.area,
                base=base,
                target=0.5,
                points=points,
            ),
            "curve",
        )
    )


def of_class(picture: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in picture.iter() if name in each.get("class", "").split()]


def place(mark: ET.Element) -> tuple[float, float]:
    circle = mark if mark.tag == "circle" else mark.find("circle")
    assert circle is not None
    return float(circle.get("cx", "")), float(circle.get("cy", ""))


def test_rungs_lie_by_the_logarithm_of_alpha_and_by_their_figure() -> None:
    picture = drawn(point(0, 1000, 1.0), point(1, 10, 0.0), point(2, 100, 0.5))
    places = [place(mark) for mark in of_class(picture, "rung")]
    strongest, middle, gentlest = places
    assert middle[0] - strongest[0] == pytest.approx(gentlest[0] - middle[0], abs=0.02)
    assert [y for _, y in places] == [curve_plot.UPPER[1], MIDDLE, curve_plot.UPPER[0]]


def test_over_the_norm_of_the_change_rungs_lie_evenly() -> None:
    picture = drawn(point(0, 0, 1), point(1, 10, 1), point(2, 20, 1), logarithmic=False)
    xs = [place(mark)[0] for mark in of_class(picture, "rung")]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.02)


def test_lines_join_the_ladder_and_a_smaller_lambda_lies_beside_it() -> None:
    ladder = (point(0, 3, 0.9), point(1, 2, 0.5))
    with_one = drawn(*ladder, point(2, 2, 0.1, strength=0.3))
    for kind in ("forgotten", "retained", "unseen"):
        lines = [
            [line.get("points") for line in of_class(picture, kind) if line.tag == "polyline"]
            for picture in (drawn(*ladder), with_one)
        ]
        assert lines[0] == lines[1] != []
    assert len(of_class(with_one, "rung")) == 3
    titles = [mark.findtext("title") for mark in of_class(with_one, "rung")]
    assert [title for title in titles if title and "λ 0.3" in title] == [
        "Rung 2: 2, λ 0.3, Attack area 0.100, retained 99.0 %, unseen 95.0 %, does not pass"
    ]


def test_what_passes_what_damages_and_what_was_taken_differ_in_shape() -> None:
    picture = drawn(
        point(0, 3, 0.9),
        point(1, 2, 0.5, passes=True, chosen=True),
        point(2, 1, 0.4, damages=True),
    )
    by_rung = {mark.findtext("title", "")[:6]: mark for mark in of_class(picture, "rung")}
    shapes = {
        rung: [(shape.tag, shape.get("class")) for shape in mark if shape.tag != "title"]
        for rung, mark in by_rung.items()
    }
    assert shapes == {
        "Rung 0": [("circle", "misses")],
        "Rung 1": [("circle", "passes"), ("circle", "chosen")],
        "Rung 2": [("circle", "misses"), ("path", "damage")],
    }


def test_intervals_span_what_they_say_and_levels_lie_at_theirs() -> None:
    picture = drawn(point(0, 1, 0.5, low=0.25, high=0.75), base=1.0)
    (whisker,) = of_class(picture, "whisker")
    low, high = (float(whisker.get(name, "")) for name in ("y1", "y2"))
    assert (low + high) / 2 == MIDDLE
    assert low - high == (curve_plot.UPPER[1] - curve_plot.UPPER[0]) / 2
    levels = {each.get("class"): float(each.get("y1", "")) for each in of_class(picture, "level")}
    assert levels == {"level target": MIDDLE, "level base": curve_plot.UPPER[0]}


def test_a_rung_without_a_figure_has_no_mark_but_is_told_of() -> None:
    picture = drawn(point(0, 1, None, retained=None), point(1, 2, 0.5))
    assert len(of_class(picture, "rung")) == 1
    assert "Rung 0: 1, Attack area –, retained –" in picture.findtext("desc", "")


def test_accuracies_are_drawn_below_at_the_same_places() -> None:
    picture = drawn(point(0, 1, 0.5, retained=1.0, unseen=0.9), point(1, 2, 0.5, unseen=0.9))
    (retained,) = (each for each in picture.iter("polyline") if each.get("class") == "retained")
    first = retained.get("points", "").split()[0].split(",")
    assert float(first[0]) == place(of_class(picture, "rung")[0])[0]
    assert float(first[1]) == curve_plot.LOWER[0]


def test_a_single_place_still_has_an_axis() -> None:
    for logarithmic in (True, False):
        scale = around([7.0], 0.0, 100.0, logarithmic=logarithmic)
        assert 0 < scale(7.0) < 100
        assert ticks(scale)


@pytest.mark.parametrize("span", [(1e-3, 5.0), (200.0, 800.0), (3.0, 3.5), (1e-12, 1e12)])
@pytest.mark.parametrize("logarithmic", [True, False])
def test_ticks_are_few_in_order_and_on_the_axis(
    span: tuple[float, float], logarithmic: bool
) -> None:
    scale = Scale(*span, 0.0, 100.0, logarithmic=logarithmic)
    found = ticks(scale)
    assert 1 <= len(found) <= 8
    assert all(before < after for before, after in pairwise(found))
    assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in found)


def test_histograms_step_where_their_bins_are() -> None:
    groups = {"forgotten": [0.0, 1.0], "retained": [0.5, 0.5], "unseen": [0.0, 0.0]}
    networks = {"base": groups, "candidate": groups}
    picture = ET.fromstring(draw_losses([-8.0, -3.0, 2.0], networks))
    forgotten, _ = of_class(picture, "forgotten")
    top, bottom = PANELS["base"]
    left, middle, right = 58.0, (58.0 + 704.0) / 2, 704.0
    assert forgotten.get("d") == (
        f"M{left:.2f} {bottom:.2f}V{bottom:.2f}H{middle:.2f}V{top:.2f}H{right:.2f}V{bottom:.2f}"
    )


def test_a_group_without_samples_is_not_drawn_and_said_to_be_empty() -> None:
    report = make_report()
    report["loss_histograms"]["base"]["unseen"] = [0.0] * 40
    picture = ET.fromstring(losses(read(report)))
    assert len(of_class(picture, "unseen")) == 1
    assert "base, unseen: no samples" in picture.findtext("desc", "")


def test_bars_are_as_long_as_their_shares() -> None:
    given = [Layer("a", 10, 5, 0.5, 2.0), Layer("b", 10, 1, 0.1, 4.0)]
    picture = ET.fromstring(draw_layers(given))
    shares = [float(bar.get("width", "")) for bar in of_class(picture, "share")]
    norms = [float(bar.get("width", "")) for bar in of_class(picture, "norm")]
    assert shares[0] == pytest.approx(5 * shares[1], rel=1e-3)
    assert norms[1] == pytest.approx(2 * norms[0], rel=1e-3)


def test_every_picture_has_a_title_and_a_description_of_its_own() -> None:
    report = make_report(cohorts=3)
    drawn = [each.drawn for each in curves(verdict_of(report))]
    bars = layer_bars(verdict_of(report))
    assert bars is not None
    named = set()
    for picture in map(ET.fromstring, [*drawn, losses(read(report)), bars]):
        assert picture.get("role") == "img"
        for tag, name in zip(
            ("title", "desc"), picture.get("aria-labelledby", "").split(), strict=True
        ):
            element = picture.find(tag)
            assert element is not None
            assert element.get("id") == name
            assert element.text
            named.add(name)
    assert len(named) == 2 * (3 + 2)


def test_names_are_escaped() -> None:
    hostile = "</text><script>&\"'"
    picture = ET.fromstring(draw_layers([Layer(hostile, 1, 1, 1.0, 1.0)]))
    assert hostile in [each.text for each in picture.iter("text")]
