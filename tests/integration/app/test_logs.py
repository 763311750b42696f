"""Sample IDs and keys never reach a log, at any level."""

import logging

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import ADMIN_KEY, Digits, client_for, work
from tests.integration.app.support import REQUESTS, post

# The client's own log is not the service's.
CLIENTS = ("httpx", "httpcore")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def written(log: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
    return "\n".join(
        formatter.format(record) for record in log.records if not record.name.startswith(CLIENTS)
    )


def test_a_request_from_post_to_checkpoint_logs_no_sample_id(
    client: TestClient, enrolled: Settings, digits: Digits, log: pytest.LogCaptureFixture
) -> None:
    location = post(client, [*digits.of_label(3), "nobody-known"]).headers["Location"]
    work(enrolled)
    client.get(f"{location}/items")
    client.delete(location)

    assert "POST /v1/deletion-requests 202" in written(log)
    assert "person-" not in written(log)
    assert "nobody-known" not in written(log)


def test_asking_after_a_sample_logs_no_sample_id(
    client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    for path in ("person-1", "nobody-known", "person-1/x", "person-1%00"):
        client.get(f"/v1/models/digits/samples/{path}")
        client.post(f"/v1/models/digits/samples/{path}")
        client.get(f"/v1/modelz/digits/samples/{path}")

    assert "/v1/models/{model}/samples/{sample_id:path} 200" in written(log)
    assert "person-" not in written(log)
    assert "nobody-known" not in written(log)


def test_bad_input_is_not_repeated_in_the_log(
    client: TestClient, log: pytest.LogCaptureFixture
) -> None:
    post(client, ["secret\x07person"])
    post(client, ["secret" * 100])
    post(client, ["person-1"], reference=["secret"])
    client.post(REQUESTS, content=b'{"sample_ids": ["secret', headers={"Content-Type": "text/json"})
    client.post(REQUESTS, json={"model": "secret-model", "sample_ids": ["secret"]})
    client.get("/v1/models?key=secret")

    assert "secret" not in written(log)


def test_keys_are_not_logged(enrolled: Settings, log: pytest.LogCaptureFixture) -> None:
    for key in (ADMIN_KEY, "a-wrong-key-that-somebody-mistyped"):
        with client_for(enrolled, key) as client:
            client.get("/v1/models")
            post(client, ["person-1"], key="an-idempotency-key")

    for secret in (ADMIN_KEY, "a-wrong-key", "an-idempotency-key"):
        assert secret not in written(log)


def test_an_unreachable_service_is_logged_without_its_address_secrets(
    enrolled: Settings, log: pytest.LogCaptureFixture
) -> None:
    redis = "redis://:redis-password@127.0.0.1:1/0"
    database = "postgresql+psycopg://nobody:database-password@127.0.0.1:1/nothing"
    with client_for(enrolled.model_copy(update={"redis_url": redis})) as client:
        post(client, ["person-1"])
    with client_for(enrolled.model_copy(update={"database_url": database})) as client:
        post(client, ["person-1"])

    assert "password" not in written(log)
    assert "person-1" not in written(log)
