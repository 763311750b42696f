"""API keys and scopes."""

import uuid

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import ADMIN_KEY, PIPELINE_KEY, Digits
from tests.integration.app.support import assert_problem, enrolment, post, row_counts

READS = [
    f"/v1/deletion-requests/{uuid.UUID(int=1)}",
    f"/v1/deletion-requests/{uuid.UUID(int=1)}/items",
    "/v1/runs",
    f"/v1/runs/{uuid.UUID(int=1)}",
    "/v1/models",
    "/v1/models/digits",
    "/v1/models/digits/checkpoints",
    "/v1/models/digits/checkpoints/0",
    "/v1/models/digits/checkpoints/0/file",
    "/v1/models/digits/checkpoints/latest",
    "/v1/models/digits/checkpoints/latest/file",
    "/v1/models/digits/samples/person-1",
    "/v1/audit/records",
]
FOR_ADMINS = ["/v1/runs", f"/v1/runs/{uuid.UUID(int=1)}", "/v1/audit/records"]


def test_without_a_key_nothing_is_answered(
    reader_without_key: TestClient, unchanged: Settings, digits: Digits
) -> None:
    before = row_counts(unchanged)
    answers = [reader_without_key.get(path, follow_redirects=False) for path in READS]
    answers.append(post(reader_without_key, ["person-1"]))
    answers.append(reader_without_key.post("/v1/models", json=enrolment(digits, "second")))
    answers.append(reader_without_key.delete(READS[0]))

    for answer in answers:
        assert_problem(answer, 401, "not-authenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert row_counts(unchanged) == before


TAKING_BODIES = [
    ("POST", "/v1/deletion-requests"),
    ("POST", "/v1/models"),
    ("PATCH", "/v1/models/digits/policy"),
    ("POST", f"/v1/runs/{uuid.UUID(int=1)}/approve"),
    ("POST", f"/v1/runs/{uuid.UUID(int=1)}/reject"),
]


@pytest.mark.parametrize(("method", "path"), TAKING_BODIES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_without_a_key_a_body_is_not_looked_at(
    reader_without_key: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    headers = {**headers, "Content-Type": "application/json"}
    answer = reader_without_key.request(method, path, content=b"{", headers=headers)
    assert_problem(answer, 401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "sent",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        f"Basic {ADMIN_KEY}",
        ADMIN_KEY,
        f"Bearer {ADMIN_KEY}x",
        f"Bearer {ADMIN_KEY.upper()}",
        "Bearer ü",
    ],
)
def test_a_wrong_key_is_as_good_as_none(reader_without_key: TestClient, sent: str) -> None:
    headers = {"Authorization": sent.encode()}
    answer = reader_without_key.get("/v1/models", headers=headers)
    assert_problem(answer, 401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_is_not_taken_from_the_address(reader_without_key: TestClient) -> None:
    for name in ("key", "api_key", "access_token", "token"):
        answer = reader_without_key.get("/v1/models", params={name: ADMIN_KEY})
        assert_problem(answer, 401, "not-authenticated")


def test_a_pipelines_key_does_not_open_what_is_for_admins(
    pipeline: TestClient, enrolled: Settings, digits: Digits
) -> None:
    before = row_counts(enrolled)
    for path in FOR_ADMINS:
        assert_problem(pipeline.get(path), 403, "not-permitted")
    refused = pipeline.post("/v1/models", json=enrolment(digits, "second"))
    assert PIPELINE_KEY not in assert_problem(refused, 403, "not-permitted")["detail"]
    assert row_counts(enrolled) == before


def test_a_key_without_the_checkpoints_scope_downloads_nothing(other: TestClient) -> None:
    for path in ("", "/0", "/0/file", "/latest", "/latest/file"):
        answer = other.get(f"/v1/models/digits/checkpoints{path}", follow_redirects=False)
        assert_problem(answer, 403, "not-permitted")
    assert other.head("/v1/models/digits/checkpoints/0/file").status_code == 403
    assert post(other, ["person-1"]).status_code == 202
