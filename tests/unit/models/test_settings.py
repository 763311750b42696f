"""Settings: the environment over the file over the defaults, and what is missing is named."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.errors import NotConfigured
from models.keys import make_key
from models.settings import Scope, Settings, load_settings, services_file
from models.specifications.sentences import sentences

ADDRESSES = ("DATABASE_URL", "REDIS_URL", "ARTIFACT_STORE_URL")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name in ADDRESSES or name.startswith("EXPUNGE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_data_lie_in_a_folder_here(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.data_dir == tmp_path / ".expunge"
    assert (settings.gateway_host, settings.gateway_port) == ("127.0.0.1", 8080)
    assert settings.api_keys == []


def test_the_environment_sets_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    _, entry = make_key("ops", frozenset({Scope.ADMIN}))
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/d")
    monkeypatch.setenv("EXPUNGE_GATEWAY_PORT", "9999")
    monkeypatch.setenv("EXPUNGE_API_KEYS", json.dumps([entry.model_dump(mode="json")]))
    settings = load_settings()
    assert settings.database_url == "postgresql://h/d"
    assert settings.gateway_port == 9999
    assert settings.api_keys == [entry]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("EXPUNGE_DEVICE", "gpu", "'auto', 'cpu' or 'cuda'"),
        ("EXPUNGE_LOG_LEVEL", "loud", "'DEBUG', 'INFO'"),
        # The default heartbeat is every three seconds.
        ("EXPUNGE_LEASE_S", "5.9", "set it to at most 2.95, or EXPUNGE_LEASE_S to at least 6"),
        ("EXPUNGE_HEARTBEAT_S", "6.1", "at most 6, or EXPUNGE_LEASE_S to at least 12.2"),
    ],
)
def test_what_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as refused:
        load_settings()
    assert words in sentences(refused.value)


def test_a_lease_may_be_as_short_as_two_heartbeats_and_levels_are_written_in_any_case() -> None:
    settings = Settings(lease_s=6, heartbeat_s=3, log_level="info")  # type: ignore[arg-type]
    assert settings.log_level == "INFO"


def test_the_argument_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPUNGE_DATA_DIR", str(tmp_path / "environment"))
    assert load_settings().data_dir == tmp_path / "environment"
    assert load_settings(Path("argument")).data_dir == tmp_path / "argument"


def test_addresses_come_from_the_services_file(tmp_path: Path) -> None:
    services_file(tmp_path).write_text("DATABASE_URL='postgresql://file'\nEXPUNGE_THREADS='3'\n")
    settings = load_settings(tmp_path)
    assert settings.database_url == "postgresql://file"
    assert settings.threads == 3


def test_the_environment_wins_over_the_services_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services_file(tmp_path).write_text("DATABASE_URL='postgresql://file'\nREDIS_URL='redis://f'\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment")
    settings = load_settings(tmp_path)
    assert settings.database_url == "postgresql://environment"
    assert settings.redis_url == "redis://f"


def test_a_copied_services_file_does_not_move_the_data(tmp_path: Path) -> None:
    services_file(tmp_path).write_text("EXPUNGE_DATA_DIR='/elsewhere'\n")
    assert load_settings(tmp_path).data_dir == tmp_path


def test_every_missing_address_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="expunge up") as caught:
        load_settings(tmp_path).require_services()
    assert all(name in str(caught.value) for name in (*ADDRESSES, str(tmp_path)))


@pytest.mark.parametrize("missing", ADDRESSES)
def test_only_the_missing_address_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name in ADDRESSES:
        if name != missing:
            monkeypatch.setenv(name, "x://with-a-secret@h")
    with pytest.raises(NotConfigured) as caught:
        load_settings().require_services()
    assert [name for name in ADDRESSES if name in str(caught.value)] == [missing]
    assert "secret" not in str(caught.value)


def test_with_all_addresses_nothing_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES:
        monkeypatch.setenv(name, "x://h")
    settings = load_settings()
    assert settings.require_services() is settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXPUNGE_GATEWAY_PORT", "65536"),
        ("EXPUNGE_MAX_ATTEMPTS", "0"),
        ("EXPUNGE_LEASE_S", "0"),
        ("EXPUNGE_API_KEYS", '[{"name": "Not A Name", "sha256": "00", "scopes": []}]'),
    ],
)
def test_a_value_out_of_range_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        load_settings()


def test_no_key_has_the_name_of_who_asks_again_for_what_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = {"name": "restore", "sha256": "0" * 64, "scopes": ["requests"]}
    monkeypatch.setenv("EXPUNGE_API_KEYS", json.dumps([entry]))
    with pytest.raises(ValidationError, match="choose another name"):
        load_settings()


def test_keys_that_are_no_json_are_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPUNGE_API_KEYS", "[{name: s3cret}]")
    with pytest.raises(NotConfigured, match="EXPUNGE_API_KEYS is not JSON") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


def test_every_setting_is_described() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []


@pytest.mark.parametrize(
    ("given", "readers"),
    [
        ({"loaders": 9}, 9),
        ({"threads": 2}, 2),
        ({"threads": 64}, 4),
        ({"loaders": 1, "threads": 3}, 1),
    ],
)
def test_a_run_decodes_with_as_many_processes_as_threads_unless_it_is_told_otherwise(
    given: dict[str, int], readers: int
) -> None:
    assert Settings(**given).readers == readers  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rendezvous",
    ["", "here", "here:", ":29500", "h:port", "a b:1", "h:1/x", "h:0", "h:65536", "::1:5"],
)
def test_several_machines_need_a_place_to_meet(rendezvous: str) -> None:
    with pytest.raises(NotConfigured, match="HOST:PORT"):
        Settings(nodes=2, rendezvous=rendezvous).require_rendezvous()


@pytest.mark.parametrize("rendezvous", ["here:65535", "10.0.0.1:1", "[::1]:29500"])
def test_they_have_one_and_a_single_machine_needs_none(rendezvous: str) -> None:
    for settings in (Settings(), Settings(nodes=2, rendezvous=rendezvous)):
        assert settings.require_rendezvous() is settings


@pytest.mark.parametrize(("cores", "readers"), [(3, 3), (64, 4), (None, 1)])
def test_a_run_that_has_all_cores_decodes_with_as_many_processes_up_to_four(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, readers: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert Settings().readers == readers
