"""Which plots a report has: of the cohorts that were varied, of the layers that changed most."""

from xml.etree import ElementTree as ET

from app.reports.pictures import MOST_CURVES, curves, layer_bars, layers
from tests.support.reports import make_report, verdict_of


def test_there_is_a_curve_for_each_cohort_that_was_tried_otherwise() -> None:
    report = make_report(cohorts=3)
    for rung in report["verdict"]["ladder"]:
        rung["settings"]["label 1"] = {"alpha": 7.0, "lambda": 1.0}
    assert [each.title for each in curves(verdict_of(report))] == ["Label 0", "Scattered samples"]


def test_a_smaller_lambda_than_the_ladders_is_said() -> None:
    report = make_report()
    verdict = report["verdict"]
    settings = [rung["settings"]["label 0"] for rung in verdict["ladder"]]
    # At an α below 1 the ladder's own λ is as small.
    settings[-1] |= {"alpha": 0.5, "lambda": 0.5}
    assert "λ" not in curves(verdict_of(report))[0].drawn
    settings[0] |= {"lambda": 1 / 3}
    assert "Rung 0: " in curves(verdict_of(report))[0].drawn
    assert curves(verdict_of(report))[0].drawn.count(", λ 0.333,") == 2
    # A cohort that may not have more than a third has no other ladder.
    for each in settings:
        each |= {"lambda": 1 / 3}
    assert "λ" not in curves(verdict_of(report))[0].drawn


def test_too_many_cohorts_share_a_curve_over_the_norm_of_the_change() -> None:
    (one,) = curves(verdict_of(make_report(cohorts=MOST_CURVES + 1)))
    assert one.title == "All cohorts"
    assert "L2 norm" in one.drawn


def test_of_many_layers_those_that_changed_most_are_drawn_in_order() -> None:
    report = make_report()
    one = {"total": 9, "dampened": 1, "share": 1 / 9, "changed": 1}
    report["verdict"]["weights"]["layers"] = {
        f"layer{index}": {**one, "change_norm": float(index)} for index in reversed(range(300))
    }
    verdict = verdict_of(report)
    assert [layer.name for layer in layers(verdict)] == [f"layer{index}" for index in range(300)]
    drawn = layer_bars(verdict)
    assert drawn is not None
    names = [
        each.text for each in ET.fromstring(drawn).iter("text") if each.get("text-anchor") == "end"
    ]
    assert names == [f"layer{index}" for index in range(270, 300)]


def test_without_a_change_there_are_no_bars() -> None:
    report = make_report()
    report["verdict"]["weights"]["layers"] = {}
    assert layer_bars(verdict_of(report)) is None
