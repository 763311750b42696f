"""The page: well-formed, self-contained, safe, and there for every run that was judged."""

import re

import pytest

from app.reports.page import render
from app.reports.summary import summarise
from tests.support.reports import estimate, make_report, read, standing, without_figures
from tests.unit.app.reports.reading import page_of

HOSTILE = '<script>alert("x")</script>&\''


@pytest.mark.parametrize("cohorts", [1, 3, 30])
def test_it_is_well_formed_for_any_number_of_cohorts(cohorts: int) -> None:
    page = page_of(make_report(cohorts=cohorts))
    assert f"in {cohorts} cohort" in page.text
    identifiers = [value for name, value in page.attributes if name == "id"]
    assert len(set(identifiers)) == len(identifiers)


def test_few_cohorts_have_a_curve_each_and_many_share_one() -> None:
    assert page_of(make_report(cohorts=3)).tags.count("svg") == 3 + 2
    assert page_of(make_report(cohorts=30)).tags.count("svg") == 1 + 2


def test_a_single_candidate_makes_no_curve() -> None:
    report = make_report()
    report["verdict"].update(ladder=report["verdict"]["ladder"][:1], rung=0)
    page = page_of(report)
    assert page.tags.count("svg") == 2
    assert "A single candidate was tried" in page.text


def test_nothing_lies_outside_of_it_and_nothing_is_executed() -> None:
    page = page_of(make_report(cohorts=3, outcome="needs_review", version=None))
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(link is not None and link.startswith("#") for link in links)
    targets = {value for name, value in page.attributes if name == "id"}
    assert {link[1:] for link in links if link} <= targets
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in render(read(make_report()))
    assert "@import" not in render(read(make_report()))


def test_whatever_comes_from_data_is_escaped() -> None:
    report = make_report(
        cohorts=2,
        outcome="needs_review",
        state="rejected",
        model=HOSTILE,
        worker=HOSTILE,
        review={"by": HOSTILE, "reason": HOSTILE},
    )
    verdict = report["verdict"]
    verdict.update(reasons=[HOSTILE], remarks=[HOSTILE])
    verdict["ladder"][0]["damage"] = [HOSTILE]
    layers = verdict["weights"]["layers"]
    layers[HOSTILE] = layers.pop("layer2.weight")
    page = page_of(report)
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 8


@pytest.mark.parametrize("cohorts", [1, 30])
def test_figures_that_are_missing_are_dashes(cohorts: int) -> None:
    report = without_figures(make_report(cohorts=cohorts, outcome="undecidable"))
    page = page_of(report)
    assert page.text.count("–") > 20
    said = f"{page.text} {summarise(read(report))}"
    assert not re.search(r"\b(None|nan|null)\b", said)


def test_a_figure_that_is_no_number_is_a_dash() -> None:
    report = make_report()
    # As the document has them: JSON has no such number.
    nowhere = {"value": None, "low": None, "high": None, "count": 5}
    report["zero_retrain_forgetting"] = {"base": nowhere, "candidate": None}
    assert "1 if they are the same – – to – 5 samples –" in page_of(report).text


def test_a_cohort_is_shown_with_figure_interval_counts_and_settings() -> None:
    text = page_of(make_report()).text
    row = "0.900 0.800 to 1.000 50 samples 60 unseen 0.500 0.400 to 0.600 50 samples 60 unseen"
    assert row in text
    assert "✓ not told apart from unseen samples base: more familiar than unseen samples" in text


@pytest.mark.parametrize(
    ("gap", "closeness", "said"),
    [
        (0.071, "familiar", "✗ more familiar than unseen samples: 7.1 points more are recognised"),
        (-0.1, "conspicuous", "✗ stranger than unseen samples: 10.0 points fewer are recognised"),
    ],
)
def test_where_losses_tell_nothing_it_is_said_how_many_more_are_recognised(
    gap: float, closeness: str, said: str
) -> None:
    report = make_report()
    candidate = report["verdict"]["cohorts"][0]["candidate"]
    candidate["gap"] = {"gap": gap, "count": 50, "chance": 0.001}
    candidate.update(closeness=closeness, accepted=False)
    assert said not in page_of(report).text
    candidate["by_gap"] = True
    assert said in page_of(report).text
    assert said in " ".join(summarise(read(report)).split())


def test_cohorts_that_are_judged_together_have_a_row_of_their_own() -> None:
    report = make_report(cohorts=3)
    verdict = report["verdict"]
    assert "cohorts together" not in f"{page_of(report).text} {summarise(read(report))}"
    verdict["cohorts"][1]["labels"] = [4, 7]
    verdict["pool"] = {
        "cohorts": [verdict["cohorts"][0]["name"], verdict["cohorts"][1]["name"]],
        "base": standing(0.7),
        "candidate": standing(0.6),
        "forgotten": False,
    }
    text = page_of(report).text
    assert "2 cohorts together of 3 labels attack area" in text
    assert "0.600 0.500 to 0.700 50 samples 60 unseen ✗ more familiar than unseen samples" in text
    assert "2 cohorts together: attack area, target 0.5 0.700 (0.600 to 0.800" in summarise(
        read(report)
    )


def test_a_label_that_is_forgotten_whole_is_shown_by_what_is_recognised() -> None:
    report = make_report()
    cohort = report["verdict"]["cohorts"][0]
    for network, share in (("base", 0.9), ("candidate", 0.0)):
        cohort[network]["recognised"] = {"value": share, "low": 0.0, "high": 1.0, "count": 7}
        cohort[network].update(recognised_on="unseen", rule="chance")
    cohort["rule"] = "chance"
    text = page_of(report).text
    assert "90.0 % 0.0 to 100.0 % 7 samples 0.0 % 0.0 to 100.0 % 7 samples ✓ not recognised" in text
    put_back = "with the base's last layer put back:"
    assert put_back not in text
    cohort["last_layer_restored"] = {"value": 0.3, "low": 0.2, "high": 0.4, "count": 7}
    assert f"{put_back} 30.0 % 20.0 to 40.0 % 7 samples" in page_of(report).text


def test_what_each_rung_leaves_below_the_last_layer_is_in_the_table() -> None:
    report = make_report()
    for share, rung in zip((0.9, 0.5, 0.25, 0.0), report["verdict"]["ladder"], strict=True):
        rung["last_layer_restored"] = {"label 0": estimate(share)}
    assert "✓ passes Label 0: α 20, λ 1" in page_of(report).text
    assert "Label 0: 25.0 %" in page_of(report).text


def test_a_fall_is_shown_with_its_interval_and_its_count() -> None:
    report = make_report()
    fall = report["verdict"]["ladder"][0]["retained"]
    fall["fall"] = {"value": 0.02, "low": -0.004, "high": 0.0312, "count": 200}
    assert "−3.1 to +0.4 200 samples" in page_of(report).text


def test_a_kind_within_a_label_is_shown_beside_what_is_expected_of_it() -> None:
    report = make_report()
    cohort = report["verdict"]["cohorts"][0]
    for network, share, closeness in (("base", 0.9, "familiar"), ("candidate", 0.2, "conspicuous")):
        cohort[network].update(
            rule="expected",
            closeness=closeness,
            accepted=False,
            recognised_on="unseen",
            expected=0.45,
        )
        cohort[network]["recognised"] = {"value": share, "low": 0.0, "high": 1.0, "count": 7}
    cohort["rule"] = "expected"
    expectation = {"on": "unseen", "share": 0.45, "positions": [1, 2], "excused": []}
    cohort["expectation"] = {**expectation, "of_kind": True}
    text = page_of(report).text
    assert "as by a network that was never taught them, about 45.0 %" in text
    assert "unseen samples of the kind recognised" in text
    assert "90.0 % 0.0 to 100.0 % 7 samples 20.0 % 0.0 to 100.0 % 7 samples ✗ recognised" in text
    assert "✗ recognised less often than expected base: recognised more often than expected" in text
    cohort["candidate"]["accepted"] = True
    assert "✓ recognised somewhat less often than expected base:" in page_of(report).text
    # Of most of a label there is no kind.
    cohort["expectation"] = {**expectation, "of_kind": False}
    assert "unseen samples of its labels recognised" in page_of(report).text
    # Its like are recognised as they should be, and the attack decides.
    cohort["candidate"].update(rule="like_unseen", closeness="familiar", accepted=False)
    area = cohort["candidate"]["attack"]["area"]["value"]
    said = f"✗ more familiar than unseen samples: attack area {area:.3f}, target 0.5"
    assert said in page_of(report).text


def test_unseen_samples_that_no_fall_is_counted_on_are_named_wherever_the_others_are() -> None:
    report = make_report()
    assert "not counted" not in f"{page_of(report).text} {summarise(read(report))}"
    report["verdict"]["holdout_excused"] = {"10": 8, "9": 9}
    said = "not counted: 17 samples like the forgotten ones (9 of label 9, 8 of label 10)"
    text = page_of(report).text
    assert f"of labels that are still retained; {said}" in text
    assert f"of the labels that are still retained; {said}" in text
    assert f"through all deletions together; {said}" in text
    assert f"points are spent; {said}" in summarise(read(report))


def test_it_can_be_compared_with_files_and_rows_without_the_service() -> None:
    text = page_of(make_report()).text
    assert f"SHA-256 of the base's weights {'b' * 64}" in text
    assert f"SHA-256 of the published weights {'c' * 64}" in text
    assert f"Manifest digest {'d' * 64}" in text
    assert "Training samples 54,321" in text
    assert "Fisher sums predictive (version 2, seed 7), made on cpu" in text
    assert "This report is by expunge 9.8.7" in text
    report = make_report(outcome="needs_review", version=None)
    report["network"]["published_sha256"] = None
    assert "SHA-256 of the published weights –" in page_of(report).text


def test_what_it_does_not_show_is_said() -> None:
    report = make_report()
    text = page_of(report).text
    limits = text[text.index("What this does not show") : text.index("Rung by rung")]
    for words in ("from a single image", "Shadow models are not tried", "remain where they are"):
        assert words in limits
    assert "chosen, out of 4, by the same probe samples" in limits
    report["verdict"].update(ladder=report["verdict"]["ladder"][:1], rung=0)
    assert "by the same probe samples" not in page_of(report).text


def test_labels_and_layers_are_in_the_order_of_their_numbers() -> None:
    text = page_of(make_report()).text
    by_label = text[text.index("Accuracy by label") : text.index("All layers")]
    found = re.findall(r"(\d+) (?:forgotten in part or whole )?90\.0 %", by_label)
    assert found == ["0", "2", "10"]
    layers = text[text.index("All layers") :]
    assert layers.index("layer2.weight") < layers.index("layer10.weight")


def test_a_rung_that_gives_back_what_was_forgotten_says_so_before_anything_else() -> None:
    report = make_report()
    report["verdict"]["ladder"][3]["given_back"] = ["label 0"]
    text = page_of(report).text
    assert "3 ✗ gives back what was forgotten, and cannot be approved Label 0: α 10" in text


def test_a_rung_of_which_a_part_of_the_probe_showed_enough_says_so() -> None:
    report = make_report()
    report["verdict"]["ladder"][3]["at_a_glance"] = True
    text = page_of(report).text
    assert "3 ✗ costs too much: a part of the probe left no doubt, and the rest was not" in text
    assert text.count("left no doubt") == 1


def test_requests_are_named_by_what_their_clients_call_them() -> None:
    text = page_of(make_report()).text
    assert "Deletion requests 5b0e6f9c-1111-4000-8000-000000000000, DSR-17" in text


def test_every_rung_is_in_the_table_with_what_speaks_against_it() -> None:
    text = page_of(make_report()).text
    ladder = text[text.index("The ladder") : text.index("Other figures")]
    assert "2 taken ✓ passes Label 0: α 20, λ 1" in ladder
    assert "3 ✗ costs too much Label 0: α 10, λ 1" in ladder
    assert "Accuracy on the retained probe would be too low." in ladder
