"""The whole path, from a posted sample ID to a downloaded checkpoint."""

import hashlib

from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, work


def test_a_posted_class_is_forgotten_in_a_new_checkpoint(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    sample_ids = digits.of_label(3)
    body = {"model": "digits", "sample_ids": [*sample_ids, "nobody"]}

    posted = client.post("/v1/deletion-requests", json=body)
    assert posted.status_code == 202
    assert posted.json()["counts"] == {"pending": len(sample_ids), "unknown": 1}
    work(enrolled)

    request = client.get(posted.headers["Location"]).json()
    assert request["status"] == "settled"
    assert request["counts"] == {"forgotten": len(sample_ids), "unknown": 1}
    run = client.get(request["run"]["href"]).json()
    assert run["state"] == "published"
    base, candidate = (
        {
            group: found["accuracy"]["value"]
            for group, found in figures.items()
            if "accuracy" in found
        }
        for figures in (run["verdict"]["figures"][name] for name in ("base", "candidate"))
    )
    assert base["forgotten"] > 0.95
    assert candidate["forgotten"] <= 0.05
    assert candidate["retained"] > base["retained"] - 0.02
    file = client.get("/v1/models/digits/checkpoints/latest/file")
    assert file.status_code == 200
    assert file.headers["ETag"] == f'"{hashlib.sha256(file.content).hexdigest()}"'
