"""Registered models over HTTP: enrol, list, look."""

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, client_for, work
from tests.integration.app.support import (
    assert_problem,
    assert_some_problem,
    enrolment,
    post,
    row_counts,
)


def test_a_network_is_enrolled_over_http_and_can_forget(settings: Settings, digits: Digits) -> None:
    with client_for(settings) as client:
        posted = client.post("/v1/models", json=enrolment(digits, "fresh"))
        assert posted.status_code == 202
        assert posted.headers["Location"] == "/v1/models/fresh"
        assert posted.json()["state"] == "enrolling"
        work(settings)

        enrolled = client.get("/v1/models/fresh").json()
        assert enrolled["state"] == "active"
        assert enrolled["head_version"] == 0
        assert (enrolled["training_samples"], enrolled["holdout_samples"]) == (540, 60)
        body = {"model": "fresh", "sample_ids": digits.of_label(3)}
        location = client.post("/v1/deletion-requests", json=body).headers["Location"]
        work(settings)
        assert client.get(location).json()["checkpoint"]["version"] == 1


def test_while_it_is_enrolling_a_registered_model_takes_no_requests(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    client.post("/v1/models", json=enrolment(digits, "second"))
    before = row_counts(enrolled)

    body = {"model": "second", "sample_ids": ["person-1"]}
    assert_problem(client.post("/v1/deletion-requests", json=body), 409, "model-not-active")
    for path in ("latest", "latest/file"):
        answer = client.get(f"/v1/models/second/checkpoints/{path}", follow_redirects=False)
        assert_some_problem(answer)
    assert row_counts(enrolled) == before


def test_registered_models_are_listed_by_name(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    client.post("/v1/models", json=enrolment(digits, "another"))

    listed = client.get("/v1/models").json()["models"]

    assert [model["name"] for model in listed] == ["another", "digits"]
    assert [model["state"] for model in listed] == ["enrolling", "active"]
    assert listed[1] == client.get("/v1/models/digits").json()


def test_a_registered_model_shows_what_it_was_enrolled_with(
    reader: TestClient, digits: Digits
) -> None:
    view = reader.get("/v1/models/digits").json()

    body = enrolment(digits, "digits")
    for field in ("architecture", "preprocessing", "policy"):
        assert view[field] == body[field]
    assert view["failure"] is None
    assert view["enrolled_at"] is not None


def test_a_fixed_policy_is_taken_and_shown_in_the_words_of_the_paper(
    client: TestClient, digits: Digits
) -> None:
    policy = {"method": {"method": "fixed", "alpha": 10, "lambda": 1}}
    posted = client.post("/v1/models", json=enrolment(digits, "fixed", policy=policy))

    assert posted.status_code == 202
    for view in (posted.json(), client.get("/v1/models/fixed").json()):
        assert view["policy"]["method"] == {"method": "fixed", "alpha": 10, "lambda": 1}


def test_a_name_that_is_taken_is_refused(
    reader: TestClient, unchanged: Settings, digits: Digits
) -> None:
    before = row_counts(unchanged)
    refused = reader.post("/v1/models", json=enrolment(digits, "digits"))

    assert_problem(refused, 409, "model-exists")
    assert row_counts(unchanged) == before


def test_an_unknown_registered_model_is_a_problem_wherever_it_is_named(
    client: TestClient, enrolled: Settings
) -> None:
    before = row_counts(enrolled)
    root = "/v1/models/nowhere"
    for path in ("", "/checkpoints", "/checkpoints/0", "/checkpoints/0/file", "/samples/person-1"):
        assert_problem(client.get(root + path), 404, "unknown-model")
    for path in ("/checkpoints/latest", "/checkpoints/latest/file"):
        answer = client.get(root + path, follow_redirects=False)
        assert_problem(answer, 404, "unknown-model")
    body = {"model": "nowhere", "sample_ids": ["person-1"]}
    assert_problem(client.post("/v1/deletion-requests", json=body), 404, "unknown-model")
    assert row_counts(enrolled) == before
    assert post(client, ["person-1"]).status_code == 202


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Not A Name"},
        {"name": "../etc"},
        {"name": None},
        {"weights": ""},
        {"weights": "a\0b"},
        {"dataset": {"kind": "arrays", "path": "a\0b"}},
        {"dataset": {"kind": "images", "manifest": "a\0b.csv"}},
        {"dataset": {"kind": "parquet", "path": "/tmp"}},
        {"dataset": {"kind": "arrays"}},
        {"architecture": {"name": "resnet18", "num_classes": 1}},
        {"architecture": {"name": "resnet18", "num_classes": "ten"}},
        {"architecture": {"name": "a\0b", "num_classes": 10}},
        {"architecture": {"name": "resnet18", "num_classes": 10, "options": {"a\0": True}}},
        {"preprocessing": {"size": 0, "mean": [0], "std": [1]}},
        {"preprocessing": {"size": 8, "mean": [0.1, 0.2], "std": [1]}},
        {"preprocessing": {"size": 8, "mean": [0], "std": [0]}},
        {"preprocessing": {"size": 8, "mean": [0]}},
        {"preprocessing": {"size": 8, "std": [1]}},
        {"policy": {"method": {"method": "fixed", "alpha": -1}}},
        {"policy": {"method": {"method": "magic"}}},
        {"code": "import os"},
    ],
)
def test_an_enrolment_of_the_wrong_form_is_refused_at_once(
    reader: TestClient, unchanged: Settings, digits: Digits, change: dict[str, object]
) -> None:
    before = row_counts(unchanged)
    refused = reader.post("/v1/models", json=enrolment(digits, "second", **change))

    assert_problem(refused, 422, "invalid-request")
    assert row_counts(unchanged) == before


@pytest.mark.parametrize("field", ["mean", "std"])
def test_numbers_that_are_not_finite_are_refused(
    reader: TestClient, unchanged: Settings, digits: Digits, field: str
) -> None:
    before = row_counts(unchanged)
    body = reader.build_request("POST", "/", json=enrolment(digits, "second")).content.decode()
    value = {"mean": "[0.3]", "std": "[0.35]"}[field]
    assert f'"{field}":{value}' in body
    refused = reader.post(
        "/v1/models",
        content=body.replace(f'"{field}":{value}', f'"{field}":[1e999]'),
        headers={"Content-Type": "application/json"},
    )

    assert_some_problem(refused)
    assert row_counts(unchanged) == before
