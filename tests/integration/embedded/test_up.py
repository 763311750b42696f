"""`expunge up`: starts everything, stops everything, and can be started again."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from embedded.addresses import key_file
from models.settings import load_settings, services_file
from tests.conftest import Servers
from tests.integration.embedded.conftest import PROGRAMS, ROOT, Up
from tests.support.waiting import alive, until

NOBODY = 65534


def _gone(processes: list[psutil.Process]) -> bool:
    return until(lambda: not any(alive(process) for process in processes), 15)


def _keys(folder: Path) -> list[str]:
    return [key_file(folder, name).read_text() for name in ("admin", "pipeline")]


def test_it_starts_everything_and_ctrl_c_stops_everything(folder: Path) -> None:
    with Up(folder) as first:
        assert set(first.children()) == {*PROGRAMS, "redis"}
        assert first.ready()
        assert len(first.postgres()) == 1
        keys, tree = _keys(folder), first.tree()
        assert all(key not in first.log() for key in keys)
        secret = [services_file(folder), key_file(folder, "admin"), key_file(folder, "pipeline")]
        assert [path.stat().st_mode & 0o077 for path in secret] == [0, 0, 0]
        assert load_settings(folder).require_services().gateway_port == first.port
        second = subprocess.run(
            first._command(folder), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert f"running in {folder}" in second.stderr
        assert "Traceback" not in second.stderr
        assert first.ready()
        assert first.stop(signal.SIGINT) == 0
        assert _gone(tree)
        assert not services_file(folder).exists()
        said = first.log()
    assert "Traceback" not in said
    assert "Error: " not in said
    with Up(folder) as again:
        assert again.ready()
        assert _keys(folder) == keys
        tree = again.tree()
        assert again.stop(signal.SIGTERM) == 0
        assert _gone(tree)


def test_a_killed_supervisor_takes_its_children_along_and_can_be_replaced(folder: Path) -> None:
    with Up(folder) as first:
        children = list(first.children().values())
        assert len(children) == 4
        first.stop(signal.SIGKILL)
        assert _gone(children)
        # PostgreSQL is a daemon and may live on: the next start finds it.
        with Up(folder) as again:
            assert again.ready()
            tree = again.tree()
            assert again.stop() == 0
            assert _gone(tree)


def test_a_folder_with_a_very_long_path_works(tmp_path: Path) -> None:
    long = tmp_path.joinpath(*["a-very-long-name-of-a-folder"] * 6)
    long.mkdir(parents=True)
    with Up(long / "data") as up:
        assert up.ready()
        tree = up.tree()
        assert up.stop() == 0
        assert _gone(tree)


def test_a_folder_whose_name_has_a_space_works(tmp_path: Path) -> None:
    folder = tmp_path / "my projects"
    folder.mkdir()
    with Up(folder / "data") as up:
        assert up.ready()
        assert up.stop() == 0


def test_given_addresses_are_used_and_no_server_is_started(
    folder: Path, servers: Servers, tmp_path: Path
) -> None:
    url = servers.database("template0")
    with Up(folder, DATABASE_URL=url, REDIS_URL=servers.redis.url) as up:
        assert up.ready()
        assert set(up.children()) == set(PROGRAMS)
        assert up.postgres() == []
        assert not (folder / "postgres").exists()
        assert not (folder / "redis").exists()
        assert up.stop() == 0
    assert servers.postgres.create_database("migrated") == servers.postgres.url("migrated")


def test_it_works_as_an_ordinary_user(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir()
    user = None
    if os.getuid() == 0:
        user = NOBODY
        shutil.chown(home, NOBODY, NOBODY)
    with Up(home / "data", user=user, HOME=str(home)) as up:
        assert up.ready()
        assert set(up.children()) == {*PROGRAMS, "redis"}
        owners = {process.uids().real for process in up.tree()}
        assert owners == {os.getuid() if user is None else user}
        tree = up.tree()
        assert up.stop() == 0
        assert _gone(tree)
