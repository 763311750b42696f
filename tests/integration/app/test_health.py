"""/healthz and /readyz, and what goes on without a part."""

import time
from concurrent.futures import ThreadPoolExecutor

from fastapi.testclient import TestClient
from redis import Redis
from sqlalchemy import create_engine, make_url

from app.main import THREADS
from models.settings import Settings
from tests.conftest import Digits, Servers, client_for, settings_for, work
from tests.integration.app.support import (
    CHECKPOINTS,
    assert_problem,
    execute,
    post,
    row_counts,
)
from tests.support.waiting import until

POLICY = "/v1/models/digits/policy"
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


def test_a_database_that_refuses_writes_is_not_ready_and_takes_no_requests(
    enrolled: Settings,
) -> None:
    name = make_url(enrolled.database_url).database
    execute(enrolled, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with client_for(enrolled) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "refuses writes" in answer.json()["database"]
        for refused in (post(client, ["person-1"]), client.patch(POLICY, json={"probe_size": 50})):
            problem = assert_problem(refused, 503, "database-unavailable")
            assert "refuses writes" in problem["detail"]
            assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/v1/models/digits").status_code == 200


def test_a_redis_that_is_out_of_memory_is_not_ready_though_it_answers(enrolled: Settings) -> None:
    with Redis.from_url(enrolled.redis_url) as redis, client_for(enrolled) as client:
        redis.config_set("maxmemory", 1)
        try:
            assert redis.ping()
            answer = client.get("/readyz")
        finally:
            redis.config_set("maxmemory", 0)
        assert answer.status_code == 503
        assert "refuses writes" in answer.json()["queue"]


def test_what_was_found_is_told_for_a_second_and_then_looked_at_again(enrolled: Settings) -> None:
    with client_for(enrolled, None) as client:
        assert client.get("/readyz").status_code == 200
        execute(enrolled, "UPDATE alembic_version SET version_num = 'of-tomorrow'")
        found_at = time.monotonic()
        assert until(lambda: client.get("/readyz").status_code == 503, within_s=30)
        assert time.monotonic() - found_at < 15


def test_while_readers_wait_for_a_lock_others_are_served(enrolled: Settings) -> None:
    engine = create_engine(enrolled.database_url)
    with (
        client_for(enrolled) as client,
        ThreadPoolExecutor(2 * THREADS) as pool,
        engine.connect() as holding,
    ):
        holding.exec_driver_sql("LOCK TABLE checkpoint IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        readers = [pool.submit(client.get, CHECKPOINTS) for _ in range(THREADS)]
        assert until(lambda: _waiting(enrolled) == THREADS, within_s=30)

        assert post(client, ["person-1"]).status_code == 202
        assert client.get("/readyz").status_code == 200
        assert not any(reader.done() for reader in readers)
        answers = [reader.result() for reader in readers]
        assert time.monotonic() - begun < 60
    engine.dispose()
    for answer in answers:
        assert_problem(answer, 503, "database-unavailable")
        assert int(answer.headers["Retry-After"]) > 0


def _waiting(settings: Settings) -> int:
    """How many sessions wait for a lock."""
    engine = create_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return int(found.scalar_one())
    finally:
        engine.dispose()
