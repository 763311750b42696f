"""What is read first: how the run ended, and what a person has decided or must decide."""

import pytest

from app.reports.headlines import headline
from app.reports.summary import summarise
from tests.support.reports import make_report, read
from tests.unit.app.reports.reading import page_of

OUTCOMES = (
    "published",
    "no_detectable_influence",
    "published_short",
    "needs_review",
    "undecidable",
)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("published", "Forgotten, and published as version 3"),
        ("no_detectable_influence", "No influence was found; published as version 3"),
        ("published_short", "version 3, but not fully forgotten"),
        ("needs_review", "a person must decide"),
        ("undecidable", "there is too little to judge by"),
    ],
)
def test_it_begins_with_the_outcome_in_plain_words(outcome: str, said: str) -> None:
    report = make_report(outcome=outcome)
    assert said in page_of(report).text[:300]
    assert said in summarise(read(report)).splitlines()[0]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["like_unseen", "expected"], "treats them like samples that the network has never seen"),
        (["chance", "chance"], "recognises no more of these labels than chance would"),
        (["chance", "like_unseen"], "than chance would; the others it treats like samples that"),
    ],
)
def test_what_forgotten_means_is_said_by_the_rules_that_decided(
    rules: list[str], said: str
) -> None:
    report = make_report()
    one, *_ = report["verdict"]["cohorts"]
    report["verdict"]["cohorts"] = [
        {**one, "candidate": {**one["candidate"], "rule": rule}} for rule in rules
    ]
    found = headline(read(report)).explanation
    assert said in found
    assert "costs no more than the policy allows" in found


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_dry_run_says_that_it_is_one_and_claims_no_version(outcome: str) -> None:
    run = {"mode": "dry_run", "state": "predicted", "version": None}
    text = page_of(make_report(outcome=outcome, **run)).text
    assert "Dry run: " in text[:100]
    assert "published as version" not in text


def test_reasons_and_remarks_stand_before_any_figure() -> None:
    report = make_report(outcome="needs_review")
    report["verdict"].update(reasons=["It costs too much."], remarks=["An image is gone."])
    text = page_of(report).text
    for sentence in ("It costs too much.", "An image is gone."):
        assert text.index(sentence) < text.index("Accuracy on forgotten samples")
        assert sentence in summarise(read(report))


def test_only_who_is_asked_to_decide_is_told_how() -> None:
    assert "/approve" in page_of(make_report(outcome="needs_review")).text
    assert "/approve" not in page_of(make_report()).text


def test_what_a_person_has_decided_comes_first() -> None:
    review = {"by": "ops", "rung": 1}
    approved = make_report(outcome="needs_review", state="approved", review=review)
    assert "Approved by ops: rung 1" in page_of(approved).text[:200]
    review = {"by": "ops", "reason": "a reason"}
    rejected = make_report(outcome="needs_review", state="rejected", review=review)
    assert "Rejected by ops" in page_of(rejected).text[:200]
    assert "The reason given: a reason" in page_of(rejected).text


def test_a_run_that_carries_out_an_approval_does_not_claim_to_be_within_bounds() -> None:
    report = make_report(carries_out="448b4bcc-0000-4000-8000-000000000000")
    text = page_of(report).text
    assert "✓ Forgotten, and published as version 3" in text
    assert "A person approved these settings" in text
    assert "Nothing speaks against them" in text
    assert "costs no more than the policy allows" not in text


@pytest.mark.parametrize("outcome", ["published", "published_short"])
def test_what_a_person_has_published_against_the_gate_is_not_called_good(outcome: str) -> None:
    carried_out = "448b4bcc-0000-4000-8000-000000000000"
    report = make_report(outcome=outcome, carries_out=carried_out)
    report["verdict"]["reasons"] = ["Accuracy on the retained probe fell too far."]
    found = headline(read(report))
    assert (found.sign, found.tone) == ("!", "caution")
    assert found.title == "Published as version 3 by a person's decision, against the gate"
    assert "Forgotten" not in summarise(read(report)).splitlines()[0]
    assert "What speaks against them is listed here" in page_of(report).text


def test_what_is_said_of_forgetting_says_how_far_it_goes() -> None:
    def explained(outcome: str) -> str:
        return headline(read(make_report(outcome=outcome))).explanation

    assert "what is left in lower layers is not judged" in explained("published")
    assert "cannot be shown that anything was there" in explained("no_detectable_influence")
    assert "or it cannot be told whether it does" in explained("published_short")


def test_what_was_asked_for_is_counted_apart_from_training_samples() -> None:
    report = make_report()
    report["run"]["items"] = 10
    report["verdict"]["cohorts"][0]["samples"] = 4
    asked = "forget 10 samples. With all earlier deletions that makes 4 training samples, in 1 coh"
    assert asked in page_of(report).text
    assert asked in summarise(read(report))


def test_samples_that_have_nothing_to_forget_are_told_apart_from_the_others() -> None:
    report = make_report()
    assert "Among them" not in page_of(report).text
    report["verdict"]["asked"] = {"training": 90, "holdout": 4, "unreadable": 1}
    said = summarise(read(report))
    assert "Among them are 90 that it was trained on, and 4 that it was never trained on" in said
    assert "1 that cannot be used, for the reasons given with them" in said


def test_a_spent_budget_is_told_with_what_follows() -> None:
    report = make_report()
    assert "; retraining" not in page_of(report).text
    budget = {"allowed": 0.01, "spent": 0.012, "retraining_advised": True}
    report["verdict"]["damage_budget"] = budget
    assert "1.2 of 1.0 points are spent; retraining" in page_of(report).text
    assert "1.2 of 1.0 points are spent; retraining" in summarise(read(report))
    budget["retraining_advised"] = False
    assert "; retraining" not in page_of(report).text
    budget.update(spent=0.0, retraining_advised=True)
    assert "0.0 of 1.0 points are spent; retraining" in page_of(report).text
