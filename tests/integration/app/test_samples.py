"""GET /v1/models/{m}/samples/{sample_id}: retained or forgotten, since which version."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, work
from tests.integration.app.support import (
    assert_problem,
    assert_some_problem,
    enrolment,
    forget,
    served,
)

SAMPLES = "/v1/models/digits/samples"


def test_a_retained_sample_says_so(reader: TestClient, digits: Digits) -> None:
    sample = reader.get(f"{SAMPLES}/person-1").json()

    assert sample["sample_id"] == "person-1"
    assert sample["state"] == "retained"
    assert sample["label"] == digits.labels[1]
    assert sample["forgotten_version"] is None
    assert sample["forgotten_at"] is None


def test_a_forgotten_sample_says_since_which_version(
    client: TestClient, enrolled: Settings, digits: Digits, forgotten: dict[str, Any]
) -> None:
    # So gentle that label 5 is still recognised, and is not called forgotten.
    method = {"method": "fixed", "alpha": 1e9}
    changed = client.patch("/v1/models/digits/policy", json={"method": method})
    assert changed.status_code == 200
    forget(client, enrolled, digits.of_label(5))

    for label, version, state in ((3, 1, "forgotten"), (5, 2, "weakened")):
        for sample_id in digits.of_label(label)[:3]:
            sample = client.get(f"{SAMPLES}/{sample_id}").json()
            assert sample["state"] == state
            assert sample["forgotten_version"] == version
            assert sample["forgotten_at"] is not None
    retained = client.get(f"{SAMPLES}/{digits.of_label(8)[0]}").json()
    assert retained["state"] == "retained"


def test_a_pending_sample_is_still_retained(client: TestClient) -> None:
    client.post("/v1/deletion-requests", json={"model": "digits", "sample_ids": ["person-1"]})
    assert client.get(f"{SAMPLES}/person-1").json()["state"] == "retained"


def test_a_pipeline_may_ask_after_what_it_has_asked_for_and_nothing_else(
    client: TestClient, pipeline: TestClient, other: TestClient
) -> None:
    body = {"model": "digits", "sample_ids": ["person-1", "nobody"]}
    assert pipeline.post("/v1/deletion-requests", json=body).status_code == 202

    for asking in (pipeline, client):
        assert asking.get(f"{SAMPLES}/person-1").json()["state"] == "retained"
    unknown = assert_problem(pipeline.get(f"{SAMPLES}/nobody"), 404, "unknown-sample")
    for asking, sample_id in ((other, "person-1"), (pipeline, "person-2"), (other, "nobody")):
        refused = assert_problem(asking.get(f"{SAMPLES}/{sample_id}"), 404, "unknown-sample")
        assert refused == unknown
    assert client.get(f"{SAMPLES}/person-2").status_code == 200


def test_a_sample_that_the_network_never_saw_is_unknown(reader: TestClient) -> None:
    for sample_id in ("nobody", "person-1/", "person-1/x", "person-1%20", "PERSON-1"):
        assert_problem(reader.get(f"{SAMPLES}/{sample_id}"), 404, "unknown-sample")


@pytest.mark.parametrize("sample_id", ["%00", "person-1%00", "x" * 5000, "%ff%fe", "%0a"])
def test_what_can_be_no_sample_id_is_a_problem(reader: TestClient, sample_id: str) -> None:
    assert_some_problem(reader.get(f"{SAMPLES}/{sample_id}"))


@pytest.mark.parametrize("path", ["/v1/models/%00", "/v1/models/%00/checkpoints/0"])
def test_what_can_be_no_name_of_a_registered_model_is_a_problem(
    reader: TestClient, path: str
) -> None:
    assert_some_problem(reader.get(path))
    assert_some_problem(reader.get("/v1/runs", params={"model": "a\0b"}))
    assert_some_problem(reader.get("/v1/audit/records", params={"model": "a\0b"}))


def test_sample_ids_with_slashes_and_other_signs_are_found(
    client: TestClient, enrolled: Settings, digits: Digits, tmp_path: Path
) -> None:
    arrays = dict(np.load(str(enrolment(digits, "paths")["dataset"]["path"])))
    signs = ["/", " ", "?", "#", "%", "%2F", "+", "ü√🙂", "&a=", "//"]
    names = [f"faces{signs[number % len(signs)]}{number}.png" for number in range(600)]
    np.savez(tmp_path / "paths.npz", **{**arrays, "ids": np.array(names)})
    dataset = {"kind": "arrays", "path": str(tmp_path / "paths.npz")}
    posted = client.post("/v1/models", json=enrolment(digits, "paths", dataset=dataset))
    assert posted.status_code == 202
    work(enrolled)
    threes = [name for name, label in zip(names, digits.labels, strict=True) if label == 3]
    body = {"model": "paths", "sample_ids": threes}
    client.post("/v1/deletion-requests", json=body)
    work(enrolled)

    # Over a real connection: the test client decodes paths twice.
    with served(enrolled) as address:
        for name, label in list(zip(names, digits.labels, strict=True))[:30]:
            for safe in ("", "/"):
                path = f"/v1/models/paths/samples/{quote(name, safe=safe)}"
                sample = httpx2.get(address + path, headers=client.headers)
                assert sample.status_code == 200, name
                assert sample.json()["sample_id"] == name
                assert sample.json()["state"] == ("forgotten" if label == 3 else "retained")
