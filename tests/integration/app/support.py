"""What the gateway's tests share: posting, working off, walking pages, counting rows."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import create_engine, inspect, text

from app.main import Server
from models.database import with_driver
from models.settings import Settings
from tests.conftest import Digits, work

REQUESTS = "/v1/deletion-requests"
CHECKPOINTS = "/v1/models/digits/checkpoints"
PROBLEM = "application/problem+json"


def post(
    client: TestClient, sample_ids: list[str], key: str | None = None, **more: Any
) -> Response:
    """Post a deletion request for `digits`."""
    headers = {"Idempotency-Key": key} if key is not None else {}
    body = {"model": "digits", "sample_ids": sample_ids, **more}
    return client.post(REQUESTS, json=body, headers=headers)


def forget(client: TestClient, settings: Settings, sample_ids: list[str]) -> dict[str, Any]:
    """Post, work off, and return the request as it is afterwards."""
    posted = post(client, sample_ids)
    assert posted.status_code == 202, posted.text
    work(settings)
    view: dict[str, Any] = client.get(posted.headers["Location"]).json()
    assert view["status"] == "settled", view
    return view


def assert_problem(response: Response, status: int, kind: str) -> dict[str, Any]:
    """The answer is a problem (RFC 9457) of that kind; returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].split(";")[0] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:expunge:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def assert_some_problem(response: Response) -> None:
    """The answer is a well-formed problem of the client's making, whichever."""
    assert 400 <= response.status_code < 500, (response.status_code, response.text)
    assert response.headers["content-type"].split(";")[0] == PROBLEM
    body = response.json()
    assert body["type"].startswith("urn:expunge:problem:")
    assert body["status"] == response.status_code


def pages(client: TestClient, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """All pages of a list."""
    cursor: dict[str, str] = {}
    for _ in range(1000):
        answer = client.get(path, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}
    raise AssertionError("the pages never end")


def row_counts(settings: Settings) -> dict[str, int]:
    """How many rows every table has."""
    engine = create_engine(with_driver(settings.database_url))
    try:
        with engine.connect() as connection:
            return {
                table: connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one()
                for table in inspect(connection).get_table_names()
            }
    finally:
        engine.dispose()


def execute(settings: Settings, *statements: str) -> None:
    """Change the database behind the gateway's back."""
    engine = create_engine(with_driver(settings.database_url))
    try:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def enrolment(digits: Digits, name: str, /, **changed: Any) -> dict[str, Any]:
    """The body that enrols `digits` anew under a name, with changes."""
    body: dict[str, Any] = digits.enrolment.model_dump(mode="json", by_alias=True)
    return {**body, "name": name, **changed}


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """A gateway on a port of its own; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(settings)
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield "http://{}:{}".format(*listening.getsockname())
        finally:
            server.should_exit = True
            thread.join()
