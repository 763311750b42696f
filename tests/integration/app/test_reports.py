"""GET /v1/runs/{run}/report."""

import uuid
from importlib.metadata import version
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import assert_problem, post


def test_a_report_holds_the_run_its_verdict_and_the_spread_of_losses(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    run = client.get(forgotten["run"]["href"]).json()
    report = client.get(f"{forgotten['run']['href']}/report").json()
    assert report["run"]["id"] == run["id"]
    assert report["run"]["state"] == run["state"]
    assert report["verdict"] == run["verdict"]
    assert set(report["loss_histograms"]["candidate"]) == {"forgotten", "retained", "unseen"}


def test_a_report_names_what_it_is_about_by_digests_that_others_have_too(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    report = client.get(f"{forgotten['run']['href']}/report").json()
    model = client.get("/v1/models/digits").json()
    base = client.get("/v1/models/digits/checkpoints/0").json()
    published = client.get(forgotten["checkpoint"]["href"]).json()
    network = report["network"]
    assert network["base_sha256"] == network["sums"]["weights"] == base["sha256"]
    assert network["published_sha256"] == published["sha256"]
    assert network["training_samples"] == model["training_samples"]
    assert network["manifest_digest"] == network["sums"]["manifest"] == model["manifest_digest"]
    assert network["sums"]["estimator"] == "label_free"
    assert report["program"] == f"expunge {version('expunge')}"


def test_a_report_of_what_is_not_published_names_no_published_weights(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    posted = post(client, digits.of_label(3)[:5], mode="dry_run")
    work(enrolled)
    href = client.get(posted.headers["Location"]).json()["run"]["href"]
    assert client.get(f"{href}/report").json()["network"]["published_sha256"] is None


def test_browsers_and_those_who_ask_get_a_page(
    client: TestClient, forgotten: dict[str, Any]
) -> None:
    path = f"{forgotten['run']['href']}/report"
    asked = client.get(path, params={"format": "html"})
    browsed = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    for page in (asked, browsed):
        assert page.headers["content-type"].startswith("text/html")
        assert forgotten["run"]["id"] in page.text
    plain = client.get(path, params={"format": "json"}, headers={"Accept": "text/html"})
    assert plain.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html", "text/html"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=0.1, application/json", "application/json"),
        ("application/json;q=0.1, text/*", "text/html"),
        ("*/*", "application/json"),
        ("text/html;q=wrong", "application/json"),
    ],
)
def test_of_two_kinds_of_answers_the_one_that_is_wanted_more_is_given(
    client: TestClient, forgotten: dict[str, Any], accept: str, kind: str
) -> None:
    page = client.get(f"{forgotten['run']['href']}/report", headers={"Accept": accept})
    assert page.headers["content-type"].split(";")[0] == kind
    assert (page.headers["Vary"], page.headers["Cache-Control"]) == ("Accept", "private, no-cache")


def test_what_was_not_judged_has_no_report(
    client: TestClient, enrolled: Settings, pipeline: TestClient, digits: Digits
) -> None:
    holdout = [name for name in digits.of_label(3) if int(name.split("-")[1]) % 10 == 0]
    posted = post(client, holdout)
    work(enrolled)
    href = client.get(posted.headers["Location"]).json()["run"]["href"]
    assert_problem(client.get(f"{href}/report"), 404, "unknown-report")
    assert_problem(client.get(f"/v1/runs/{uuid.uuid4()}/report"), 404, "unknown-run")
    assert_problem(pipeline.get(f"{href}/report"), 403, "not-permitted")
