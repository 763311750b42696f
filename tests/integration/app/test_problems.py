"""Every error is a problem (RFC 9457) with a stable type."""

import logging

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.integration.app.support import (
    assert_problem,
    execute,
    post,
    row_counts,
)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models", "/v1/modelz", "/%00", "/.env", "//"])
def test_an_unknown_route_is_a_problem(reader_without_key: TestClient, path: str) -> None:
    assert_problem(reader_without_key.get(f"http://testserver{path}"), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/deletion-requests"),
        ("GET", "/v1/deletion-requests"),
        ("DELETE", "/v1/models/digits"),
        ("POST", "/v1/runs"),
        ("DELETE", "/v1/audit/records"),
        ("PATCH", "/v1/models/digits/checkpoints/0/file"),
        ("POST", "/healthz"),
    ],
)
def test_a_method_that_a_route_does_not_have_is_a_problem_that_names_the_others(
    reader: TestClient, method: str, path: str
) -> None:
    answer = reader.request(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"]


def test_a_violation_says_where_and_does_not_repeat_what_was_sent(reader: TestClient) -> None:
    body = {"model": "digits", "sample_ids": ["person-1", "secret\x07person"], "reference": 5}

    problem = assert_problem(
        reader.post("/v1/deletion-requests", json=body), 422, "invalid-request"
    )

    pointers = [violation["pointer"] for violation in problem["errors"]]
    assert any(pointer.endswith("sample_ids/1") for pointer in pointers)
    assert any(pointer.endswith("reference") for pointer in pointers)
    assert "secret" not in str(problem)


def test_an_error_that_nobody_foresaw_says_nothing_of_what_it_was_about(
    client: TestClient, enrolled: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    execute(
        enrolled,
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'secret of %%', NEW.sample_id; END $$""",
        "CREATE TRIGGER fail BEFORE INSERT ON deletion_item FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    before = row_counts(enrolled)
    caplog.set_level(logging.DEBUG)

    answer = post(client, ["person-1"])

    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    text = "\n".join(logging.Formatter().format(record) for record in ours)
    assert "secret" not in text
    assert "person-1" not in text
    assert any(record.levelno >= logging.ERROR for record in ours)
    assert row_counts(enrolled) == before


def test_a_stored_file_that_is_gone_is_a_problem_of_the_service(
    client: TestClient, enrolled: Settings
) -> None:
    execute(enrolled, f"UPDATE checkpoint SET sha256 = '{'0' * 64}'")
    answer = client.get("/v1/models/digits/checkpoints/0/file")
    assert_problem(answer, 500, "artifact-missing")


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/deletion-requests/", "/readyz/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_at_the_end_leads_nowhere(reader: TestClient, method: str, path: str) -> None:
    answer = reader.request(method, path, follow_redirects=False)
    assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_no_page_loads_what_others_serve(reader_without_key: TestClient, path: str) -> None:
    assert_problem(reader_without_key.get(path), 404, "not-found")
