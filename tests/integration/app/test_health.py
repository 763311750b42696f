"""/healthz and /readyz, and what goes on without a part."""

from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import Digits, Servers, client_for, settings_for, work
from tests.integration.app.support import execute, post, row_counts

NOWHERE = "redis://127.0.0.1:1/0"


def test_a_gateway_with_everything_is_ready(reader_without_key: TestClient) -> None:
    assert reader_without_key.get("/healthz").status_code == 200
    ready = reader_without_key.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert {ready.json()[part] for part in ("database", "queue", "store")} == {"ok"}


def test_without_redis_it_is_not_ready(enrolled: Settings) -> None:
    with client_for(enrolled.model_copy(update={"redis_url": NOWHERE}), None) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["queue"] != "ok"
        assert answer.json()["database"] == "ok"
        assert client.get("/healthz").status_code == 200


def test_without_redis_requests_are_accepted_and_kept(enrolled: Settings, digits: Digits) -> None:
    with client_for(enrolled.model_copy(update={"redis_url": NOWHERE})) as client:
        posted = post(client, digits.of_label(3), key="order-1")
        assert posted.status_code == 202
        assert post(client, digits.of_label(3), key="order-1").content == posted.content
    assert row_counts(enrolled)["deletion_request"] == 1

    with client_for(enrolled) as client:
        post(client, digits.of_label(3)[:1])
        work(enrolled)
        assert client.get(posted.headers["Location"]).json()["status"] == "settled"


def test_without_the_schema_it_is_not_ready(servers: Servers) -> None:
    settings = settings_for(servers, servers.database("template1"))
    with client_for(settings) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "expunge migrate" in answer.json()["database"]


def test_at_another_schema_it_is_not_ready(settings: Settings) -> None:
    execute(settings, "UPDATE alembic_version SET version_num = 'of-tomorrow'")
    with client_for(settings) as client:
        assert client.get("/readyz").status_code == 503


def test_without_the_database_it_is_not_ready_but_alive(settings: Settings) -> None:
    nowhere = "postgresql+psycopg://nobody:secret-word@127.0.0.1:1/nothing"
    with client_for(settings.model_copy(update={"database_url": nowhere})) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["database"] != "ok"
        assert "secret-word" not in answer.text
        assert client.get("/healthz").status_code == 200
        refused = client.get("/v1/models")
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:expunge:problem:database-unavailable"
        assert int(refused.headers["Retry-After"]) > 0
