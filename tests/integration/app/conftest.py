"""Fixtures of the gateway's tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import OTHER_KEY, PIPELINE_KEY, Digits, Servers, client_for, settings_for
from tests.integration.app.support import forget


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
def pipeline(enrolled: Settings) -> Iterator[TestClient]:
    """A deletion pipeline's client: requests and checkpoints, nothing else."""
    with client_for(enrolled, PIPELINE_KEY) as opened:
        yield opened


@pytest.fixture
def other(enrolled: Settings) -> Iterator[TestClient]:
    """Another pipeline's client."""
    with client_for(enrolled, OTHER_KEY) as opened:
        yield opened


@pytest.fixture
def forgotten(client: TestClient, enrolled: Settings, digits: Digits) -> dict[str, Any]:
    """The settled request by which label 3 has been forgotten; version 1 is the head."""
    return forget(client, enrolled, digits.of_label(3))
