"""What the Compose file promises of stopping, and who sees the sources."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from models.settings import Settings

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Every service by name."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_the_gateway_is_killed_only_after_it_has_had_its_grace(services: dict[str, Any]) -> None:
    grace = services["gateway"]["stop_grace_period"]
    assert grace.endswith("s")
    assert int(grace.removesuffix("s")) > Settings.model_fields["gateway_grace_s"].default


def test_only_workers_see_datasets_and_weights(services: dict[str, Any]) -> None:
    seeing = {
        name
        for name, service in services.items()
        for mount in service.get("volumes", ())
        if isinstance(mount, dict) and mount["target"] == "/sources"
    }
    assert seeing == {"worker", "worker-gpu"}
