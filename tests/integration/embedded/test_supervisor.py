"""The supervisor: whatever dies is started again, and the service is ready again."""

from collections.abc import Iterator

import psutil
import pytest

from tests.integration.embedded.conftest import READY_S, Up
from tests.support.waiting import alive, until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("supervised") / "data") as started:
        yield started


@pytest.mark.parametrize("name", ["gateway", "worker", "steward", "redis"])
def test_a_killed_child_comes_back(up: Up, name: str) -> None:
    assert until(lambda: name in up.children(), READY_S)
    killed = up.children()[name]
    others = {other: child.pid for other, child in up.children().items() if other != name}
    killed.kill()

    def came_back() -> bool:
        child = up.children().get(name)
        return child is not None and child.pid != killed.pid

    assert until(came_back, READY_S)
    assert until(up.ready, READY_S)
    if name != "redis":
        assert {other: up.children()[other].pid for other in others} == others


def test_a_killed_postgres_comes_back(up: Up) -> None:
    killed = up.postgres()[0]
    killed.kill()
    assert until(lambda: not alive(killed), 10)
    assert until(up.ready, 30), "PostgreSQL was not started again."
    assert killed.pid not in [process.pid for process in up.postgres()]


def test_a_child_killed_again_and_again_comes_back(up: Up) -> None:
    for _ in range(2):
        assert until(lambda: "steward" in up.children(), READY_S)
        steward = up.children()["steward"]
        steward.kill()
        steward.wait(10)
    assert until(lambda: "steward" in up.children(), READY_S)


def test_everything_stops_after_all_that(up: Up) -> None:
    tree: list[psutil.Process] = up.tree()
    assert up.stop() == 0
    assert until(lambda: not any(alive(process) for process in tree), 15)
