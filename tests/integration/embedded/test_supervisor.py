"""The supervisor: whatever dies is started again, and the service is ready again."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from embedded.supervisor import Child, Supervisor
from embedded.up import run_up
from models.settings import Settings
from tests.integration.embedded.conftest import READY_S, Up
from tests.support.ports import free_port
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


def test_what_cannot_be_started_again_is_tried_again_and_holds_up_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # No command can have this in it, and what Python says to that is no error of a system's.
    broken = Child("broken", ["\0"], {})
    well = Child("well", ["cat", "/dev/zero"], {})
    supervisor = Supervisor(Settings(data_dir=tmp_path), children=[broken, well])
    stop = threading.Event()
    tending = threading.Thread(target=supervisor.tend, args=(stop,))
    tending.start()
    try:
        assert until(lambda: caplog.text.count("could not be started again") > 1, 10)
        assert until(lambda: supervisor.runs("well"), 10)
    finally:
        stop.set()
        tending.join()
    assert "ValueError" in caplog.text
    assert not supervisor.runs("well")


@pytest.mark.timeout(60)
def test_up_ends_when_what_keeps_everything_running_does(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("embedded.supervisor.LOOK_EVERY_S", "never")
    changed = settings.model_copy(update={"data_dir": tmp_path, "gateway_port": free_port()})
    before = psutil.Process().children()
    with pytest.raises(TypeError):
        run_up(changed, threading.Event())
    assert [each.levelno for each in caplog.records] == [logging.CRITICAL]
    assert "Expunge is up." not in capsys.readouterr().out
    assert psutil.Process().children() == before
