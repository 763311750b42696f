"""Sites for fault tests: on the session's servers, or with servers of their own to be killed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from models.settings import Settings
from tests.conftest import Servers
from tests.faults.site import Site
from tests.integration.workers.conftest import Story
from tests.support.ports import free_port
from workers.resources import Resources


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked as torture is for `make torture`."""
    if config.getoption("--torture"):
        return
    spared = [item for item in items if item.get_closest_marker("torture")]
    config.hook.pytest_deselected(items=spared)
    items[:] = [item for item in items if item not in spared]


@pytest.fixture
def hurried(enrolled: Settings, tmp_path: Path) -> Settings:
    """Settings with `digits` enrolled, a store of their own, and leases that run out soon.

    The artifacts of the enrolment are in the session's store; they are linked over.
    """
    shared = Path(enrolled.artifact_store_url.removeprefix("file://")) / "sha256"
    for file in shared.rglob("*"):
        if file.is_file():
            copy = tmp_path / "artifacts" / "sha256" / file.parent.name / file.name
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy.hardlink_to(file)
    return enrolled.model_copy(
        update={
            "data_dir": tmp_path,
            "artifact_store_url": (tmp_path / "artifacts").as_uri(),
            "gateway_port": free_port(),
            "threads": 1,
            "lease_s": 3,
            "heartbeat_s": 0.75,
            "log_level": "WARNING",
        }
    )


@pytest.fixture
def story(resources: Resources) -> Story:
    """A fresh start with `digits` enrolled, in this process."""
    return Story(resources)


StartSite = Callable[..., Site]


@pytest.fixture
def start_site(tmp_path: Path, servers: Servers) -> Iterator[StartSite]:
    """Start a site in the test's folder; it is gone at the end."""
    with ExitStack() as stack:

        def start(settings: Settings, **more: object) -> Site:
            site = Site(settings, tmp_path, **more)  # type: ignore[arg-type]
            return stack.enter_context(site.running())

        yield start
