"""Fixtures of the gateway's tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from models.settings import Settings
from tests.conftest import (
    OTHER_KEY,
    PIPELINE_KEY,
    Digits,
    Servers,
    client_for,
    isolated,
    settings_for,
)
from tests.integration.app.support import REQUESTS, forget, row_counts


@pytest.fixture(scope="session")
def unchanged(servers: Servers, digits_template: str) -> Settings:
    """A database with `digits` that all tests share that change nothing; it makes them quick."""
    return settings_for(servers, servers.database(digits_template))


@pytest.fixture(scope="session")
def reader(unchanged: Settings) -> Iterator[TestClient]:
    """An admin's client of the gateway on `unchanged`."""
    with client_for(unchanged) as opened:
        yield opened


@pytest.fixture(scope="session")
def reader_without_key(unchanged: Settings) -> Iterator[TestClient]:
    """A client without a key of the gateway on `unchanged`."""
    with client_for(unchanged, None) as opened:
        yield opened


@pytest.fixture
def nothing_changes(unchanged: Settings) -> Iterator[None]:
    """No test that uses this may leave a row in `unchanged`, or take one away."""
    before = row_counts(unchanged)
    yield
    assert row_counts(unchanged) == before


@pytest.fixture
def pipeline(enrolled: Settings) -> Iterator[TestClient]:
    """A deletion pipeline's client: requests and checkpoints, nothing else."""
    with client_for(enrolled, PIPELINE_KEY) as opened:
        yield opened


@pytest.fixture
def other(enrolled: Settings) -> Iterator[TestClient]:
    """Another pipeline's client."""
    with client_for(enrolled, OTHER_KEY) as opened:
        yield opened


@pytest.fixture(scope="session")
def first_request(servers: Servers, digits: Digits, digits_template: str) -> tuple[str, str]:
    """A database in which label 3 has been forgotten, and where the gateway has the request."""
    settings = settings_for(servers, servers.database(digits_template))
    with client_for(settings) as opened:
        request = forget(opened, settings, digits.of_label(3))
    return str(make_url(settings.database_url).database), f"{REQUESTS}/{request['id']}"


@pytest.fixture
def enrolled(
    servers: Servers, digits_template: str, request: pytest.FixtureRequest
) -> Iterator[Settings]:
    """A database with `digits`; version 1 is its head for those who ask for `forgotten`."""
    template = digits_template
    if "forgotten" in request.fixturenames:
        template, _ = request.getfixturevalue("first_request")
    yield from isolated(servers, template)


@pytest.fixture
def forgotten(client: TestClient, first_request: tuple[str, str]) -> dict[str, Any]:
    """The settled request by which label 3 has been forgotten."""
    _, location = first_request
    view: dict[str, Any] = client.get(location).json()
    return view
