"""The addresses and keys that `expunge up` writes are those that another shell reads."""

from pathlib import Path

import pytest

from embedded.addresses import KEYS, key_file, write_services
from embedded.redis import EmbeddedRedis
from models.artifacts import open_store
from models.doorbell import Doorbell
from models.keys import key_entry
from models.settings import Settings, load_settings, services_file

NAMES = ["data", "my data", "it's", "100%41", "${HOME}", "a#b", "a?b=c", 'quo"te', "back\\slash"]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "ARTIFACT_STORE_URL", "EXPUNGE_API_KEYS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    database_url = "postgresql://u:p%27a$s@/expunge?host=/run"
    written = write_services(load_settings(folder), database_url, "redis://r")
    read = load_settings(folder)
    assert (read.database_url, read.redis_url) == (database_url, "redis://r")
    assert read.artifact_store_url == written["ARTIFACT_STORE_URL"]
    open_store(read.artifact_store_url).check()
    assert (folder / "artifacts" / "tmp").is_dir()
    secrets = {name: key_file(folder, name).read_text() for name in KEYS}
    assert read.api_keys == [key_entry(name, secrets[name], KEYS[name]) for name in KEYS]


def starting(folder: Path) -> Settings:
    """What `expunge up` starts with: nothing of an earlier start."""
    return load_settings(folder, with_services=False)


def test_a_key_is_made_once_and_anew_if_a_crash_has_left_its_file_empty(tmp_path: Path) -> None:
    write_services(starting(tmp_path), "postgresql://d", "redis://r")
    first = {name: key_file(tmp_path, name).read_text() for name in KEYS}
    key_file(tmp_path, "admin").write_text("")
    write_services(starting(tmp_path), "postgresql://d", "redis://r")
    second = {name: key_file(tmp_path, name).read_text() for name in KEYS}
    assert second["pipeline"] == first["pipeline"]
    assert second["admin"] not in ("", first["admin"])
    assert load_settings(tmp_path).api_keys == [
        key_entry(name, second[name], KEYS[name]) for name in KEYS
    ]


def test_what_was_written_stays_whole_for_whoever_reads_it_and_is_only_the_owners(
    tmp_path: Path,
) -> None:
    write_services(starting(tmp_path), "postgresql://first", "redis://r")
    with services_file(tmp_path).open() as opened:
        write_services(starting(tmp_path), "postgresql://second", "redis://r")
        assert "postgresql://first" in opened.read()
    assert load_settings(tmp_path).database_url == "postgresql://second"
    written = [services_file(tmp_path), *(key_file(tmp_path, name) for name in KEYS)]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    assert key_file(tmp_path, "admin").parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", NAMES)
def test_redis_is_reached_whatever_its_folder_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedded.redis.START_S", 3)
    redis = EmbeddedRedis(tmp_path / name)
    try:
        redis.start()
        Doorbell(redis.url, run_limit_s=1, enrolment_limit_s=1).ping()
    finally:
        redis.stop()
