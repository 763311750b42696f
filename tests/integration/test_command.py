"""The command, as somebody at a terminal uses it: real processes, exit codes, sentences."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import create_engine, text

from models.database import Database
from models.documents import Details
from models.records import RequestMode, RunReport, RunState, UnlearningRun
from models.registry import find_model
from models.settings import Settings
from tests.conftest import KEYS, Digits, Servers, settings_for
from tests.integration.workers.enrolment.test_pipeline import FEW, fewer
from tests.support.reports import make_report, read
from workers.datasets import DATASETS

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "gateway",
    "worker",
    "steward",
    "migrate",
    "ready",
    "key",
    "enrol",
    "assist",
    "recompute",
    "scrub",
    "backup",
    "restore",
    "report",
    "up",
    "demo",
)
Environment = dict[str, str]
Ended = subprocess.CompletedProcess[str]


def bare_environment() -> Environment:
    """This process's environment without any setting of Expunge's."""
    addresses = ("DATABASE_URL", "REDIS_URL", "ARTIFACT_STORE_URL")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in addresses and not name.startswith("EXPUNGE_")
    }


def environment_of(settings: Settings) -> Environment:
    """The environment by which another process gets these settings."""
    return {
        **bare_environment(),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "ARTIFACT_STORE_URL": settings.artifact_store_url,
        "EXPUNGE_DATA_DIR": str(settings.data_dir),
        "EXPUNGE_THREADS": "2",
        "EXPUNGE_DEVICE": "cpu",
    }


def expunge(*arguments: str, environment: Environment) -> Ended:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "expunge", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _require_a_sentence(ended: Ended, code: int, *words: str) -> None:
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "Error: " in ended.stderr
    said = " ".join(ended.stderr.split())
    assert all(word in said for word in words), ended.stderr


@pytest.fixture
def nowhere(tmp_path: Path) -> Environment:
    return {**bare_environment(), "EXPUNGE_DATA_DIR": str(tmp_path / "data")}


def test_help_names_every_command(nowhere: Environment) -> None:
    ended = expunge("--help", environment=nowhere)
    assert ended.returncode == 0
    listed = [line.split()[0] for line in ended.stdout.split("Commands:")[1].splitlines() if line]
    assert sorted(listed) == sorted(COMMANDS)


def test_a_key_is_printed_once_with_the_entry_that_knows_it(nowhere: Environment) -> None:
    arguments = ("key", "ops", "--scope", "requests", "--scope", "admin")
    ended = expunge(*arguments, environment=nowhere)
    assert ended.returncode == 0
    printed = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    entry = json.loads(printed["entry:"])
    assert entry["sha256"] == hashlib.sha256(printed["key:"].encode()).hexdigest()
    assert (entry["name"], sorted(entry["scopes"])) == ("ops", ["admin", "requests"])


@pytest.mark.parametrize("arguments", [("key", "ops"), ("key", "ops", "--scope", "root")])
def test_a_key_for_nothing_is_refused(nowhere: Environment, arguments: tuple[str, ...]) -> None:
    _require_a_sentence(expunge(*arguments, environment=nowhere), 2, "--scope")


def test_a_key_with_a_name_that_cannot_be_is_refused_in_a_sentence(nowhere: Environment) -> None:
    ended = expunge("key", "Not A Name", "--scope", "admin", environment=nowhere)
    assert ended.returncode != 0
    _require_a_sentence(ended, ended.returncode, "name")
    ended = expunge("key", "restore", "--scope", "requests", environment=nowhere)
    assert ended.returncode != 0
    _require_a_sentence(ended, ended.returncode, "choose another name")


def test_a_setting_that_cannot_be_is_named_in_a_sentence(nowhere: Environment) -> None:
    ended = expunge("ready", environment={**nowhere, "EXPUNGE_GATEWAY_PORT": "http"})
    assert ended.returncode != 0
    _require_a_sentence(ended, ended.returncode, "gateway_port")


def test_ready_when_everything_is(settings: Settings) -> None:
    ended = expunge("ready", environment=environment_of(settings))
    assert (ended.returncode, ended.stdout) == (0, "database: ok\nqueue: ok\nstore: ok\n")


def test_not_ready_says_what_is_missing(settings: Settings, servers: Servers) -> None:
    environment = environment_of(settings)
    environment["DATABASE_URL"] = servers.database("template0")
    environment["REDIS_URL"] = "redis://:s3cret@127.0.0.1:1/0"
    ended = expunge("ready", environment=environment)
    assert ended.returncode == 1
    states = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    assert "expunge migrate" in states["database"]
    assert states["queue"] == "cannot be reached"
    assert states["store"] == "ok"
    assert "s3cret" not in ended.stdout + ended.stderr


@pytest.fixture
def judged(enrolled: Settings) -> str:
    """The ID of a run that was judged."""
    written = read(make_report(outcome="needs_review"))
    database = Database(enrolled.database_url)
    with database.transaction() as session:
        model = find_model(session, "digits")
        run = UnlearningRun(
            model_id=model.id,
            state=RunState.NEEDS_REVIEW,
            mode=RequestMode.DELETE,
            epoch=1,
            worker="host:1",
            attempt=1,
            item_count=95,
            parent_version=0,
            verdict=written.verdict,
        )
        session.add(run)
        session.flush()
        details = Details(
            zero_retrain_forgetting=written.zero_retrain_forgetting,
            loss_histograms=written.loss_histograms,
        )
        session.add(RunReport(run_id=run.id, details=details))
        identifier = str(run.id)
    database.close()
    return identifier


def test_a_report_is_printed_in_words_or_whole_or_written_as_a_page(
    enrolled: Settings, judged: str, tmp_path: Path
) -> None:
    environment = environment_of(enrolled)
    said = expunge("report", judged, environment=environment)
    assert (said.returncode, said.stderr) == (0, "")
    assert "a person must decide" in said.stdout.splitlines()[0]
    whole = expunge("report", judged, "--json", environment=environment)
    assert json.loads(whole.stdout)["run"]["id"] == judged
    page = tmp_path / "page.html"
    ended = expunge("report", judged, "--html", str(page), environment=environment)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_report_that_cannot_be_is_refused_in_a_sentence(
    settings: Settings, tmp_path: Path
) -> None:
    environment = environment_of(settings)
    nobody = str(uuid.uuid4())
    page = tmp_path / "page.html"
    asked = expunge("report", nobody, "--html", str(page), environment=environment)
    _require_a_sentence(asked, 1, "There is no run")
    assert not page.exists()
    both = expunge("report", nobody, "--html", str(page), "--json", environment=environment)
    _require_a_sentence(both, 2, "not both")
    _require_a_sentence(expunge("report", "latest", environment=environment), 2, "RUN")


@pytest.mark.parametrize("command", ["ready", "migrate", "gateway"])
def test_without_addresses_the_missing_ones_are_named(nowhere: Environment, command: str) -> None:
    ended = expunge(command, environment=nowhere)
    _require_a_sentence(ended, 1, "DATABASE_URL", "expunge up")


def test_migrating_at_once_from_empty_works_for_everybody(
    settings: Settings, servers: Servers
) -> None:
    url = servers.database("template0")
    environment = {**environment_of(settings), "DATABASE_URL": url}
    command = [sys.executable, "-m", "expunge", "migrate"]
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    engine.dispose()


def test_the_gateway_does_not_start_without_keys(settings: Settings) -> None:
    environment = {**environment_of(settings), "EXPUNGE_GATEWAY_PORT": "0"}
    ended = expunge("gateway", environment=environment)
    _require_a_sentence(ended, 1, "EXPUNGE_API_KEYS")


@pytest.mark.parametrize("command", ["gateway", "worker", "steward"])
def test_a_process_that_is_asked_to_stop_ends_well(
    settings: Settings, tmp_path: Path, command: str
) -> None:
    environment = environment_of(settings)
    environment["EXPUNGE_GATEWAY_PORT"] = "0"
    environment["EXPUNGE_API_KEYS"] = json.dumps([key.model_dump(mode="json") for key in KEYS])
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "expunge", command], cwd=ROOT, env=environment, stderr=file
        ) as process,
    ):
        try:
            _await_start(process, settings, log, command)
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=20)
        finally:
            process.kill()
    said = log.read_text()
    # uvicorn ends by the signal that it was sent, after an orderly shutdown.
    assert code in ((0, -signal.SIGTERM) if command == "gateway" else (0,)), said
    assert "Traceback" not in said
    assert "Error: " not in said


def test_a_worker_that_is_asked_to_stop_while_it_registers_ends_well(settings: Settings) -> None:
    program = (
        "import os, signal\n"
        "from models.settings import load_settings\n"
        "from workers.main import Worker, run_worker\n"
        "class Interrupted(Worker):\n"
        "    def register_birth(self):\n"
        "        super().register_birth()\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "import workers.main\n"
        "workers.main.Worker = Interrupted\n"
        "print(run_worker(load_settings()))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
    assert "Traceback" not in ended.stderr
    with Redis.from_url(settings.redis_url) as connection:
        assert connection.scard("rq:workers") == 0


def _await_start(
    process: subprocess.Popen[bytes], settings: Settings, log: Path, command: str
) -> None:
    """Until it does what it is for, as far as its log or its connections tell."""
    if command == "steward":
        _await_connection(settings)
        return
    deadline = time.monotonic() + 30
    with Redis.from_url(settings.redis_url) as connection:
        while not (
            connection.scard("rq:workers")
            if command == "worker"
            else "startup complete" in log.read_text()
        ):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def _await_connection(settings: Settings) -> None:
    database = Database(settings.database_url)
    others = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 20
    with database.engine.connect() as connection:
        while not connection.scalar(others):
            connection.rollback()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    database.close()


def enrol_command(digits: Digits, dataset: str, *more: str) -> tuple[str, ...]:
    """The arguments that enrol a dataset of digits."""
    return (
        *("enrol", "few", "--architecture", "small_resnet", "--num-classes", "10"),
        *("--weights", digits.enrolment.weights),
        *("--dataset", dataset, "--size", "8", "--channels", "1", "--mean", "0.3"),
        *("--option", "in_channels=1", "--option", "width=16", "--std", "0.35", *more),
    )


@pytest.fixture(scope="module")
def refused(servers: Servers, digits: Digits) -> dict[str, Ended]:
    """What is said of enrolments that cannot be; all at once, since each imports torch."""
    environment = environment_of(settings_for(servers, servers.database("migrated")))
    policy = servers.folder / "policy.json"
    policy.write_text("{gate: off}")
    given = {
        "size": ("--size", "0"),
        "option": ("--option", "width"),
        "policy": ("--policy", str(policy)),
        "architecture": ("--architecture", "small_resnt"),
    }
    with ThreadPoolExecutor() as pool:
        ended = pool.map(
            lambda changed: expunge(
                *enrol_command(digits, "digits", *changed), environment=environment
            ),
            given.values(),
        )
        return dict(zip(given, ended, strict=True))


@pytest.mark.parametrize(
    ("case", "code", "word"),
    [
        ("size", 2, "preprocessing.size"),
        ("option", 2, "KEY=VALUE"),
        ("policy", 2, "policy"),
        ("architecture", 1, "no architecture 'small_resnt'"),
    ],
)
def test_an_enrolment_that_cannot_be_is_refused_in_a_sentence(
    refused: dict[str, Ended], case: str, code: int, word: str
) -> None:
    _require_a_sentence(refused[case], code, word)


@pytest.mark.parametrize("option", ["--mean", "--std"])
def test_a_normalisation_that_is_not_given_is_not_guessed(
    nowhere: Environment, digits: Digits, option: str
) -> None:
    given = enrol_command(digits, "digits")
    at = given.index(option)
    without = (*given[:at], *given[at + 2 :])
    _require_a_sentence(expunge(*without, environment=nowhere), 2, option)


def test_the_help_of_an_enrolment_lists_every_kind_of_dataset(nowhere: Environment) -> None:
    ended = expunge("enrol", "--help", environment=nowhere)
    said = " ".join(ended.stdout.split())
    assert [kind for kind in DATASETS if kind not in said] == []


def test_an_enrolment_shows_its_progress_and_ends_active(
    settings: Settings, digits: Digits, tmp_path: Path
) -> None:
    fewer(digits, tmp_path)
    arguments = enrol_command(digits, f"arrays:{tmp_path}/few.npz")
    ended = expunge(*arguments, environment=environment_of(settings))
    assert ended.returncode == 0, ended.stderr
    assert "Fisher sums" in ended.stderr
    assert f"{FEW * 9 // 10}/{FEW * 9 // 10}" in ended.stderr
    assert "'few' is active" in ended.stderr
    _require_active(settings)


def _require_active(settings: Settings) -> None:
    database = Database(settings.database_url)
    with database.reading() as session:
        assert find_model(session, "few").state.value == "active"
    database.close()


def test_damaged_artifacts_are_listed_by_what_they_are_for_and_put_back_from_a_backup(
    enrolled: Settings, tmp_path: Path
) -> None:
    environment = environment_of(enrolled)
    whole = expunge("scrub", environment=environment)
    assert (whole.returncode, whole.stdout) == (0, "3 artifacts read, 0 damaged or missing\n")
    backup = str(tmp_path / "backup")
    made = expunge("backup", backup, environment=environment)
    assert made.returncode == 0, made.stderr
    assert "3 artifacts, 3 of them copied" in made.stdout

    store = Path(enrolled.artifact_store_url.removeprefix("file://"))
    for path in store.glob("sha256/*/*"):
        path.write_bytes(b"damaged")
    found = expunge("scrub", environment=environment)
    assert found.returncode == 1
    assert "version 0 of 'digits': Artifact" in found.stdout
    assert "3 artifacts read, 3 damaged or missing" in found.stdout
    ready = expunge("ready", environment=environment)
    assert (ready.returncode, "artifacts: 3 damaged" in ready.stdout) == (0, True)
    assert expunge("backup", backup, environment=environment).returncode == 0

    back = expunge("restore", backup, "--files-only", environment=environment)
    assert (back.returncode, back.stdout) == (0, "3 artifacts put back\n")
    assert expunge("scrub", environment=environment).returncode == 0


def test_a_backup_is_restored_into_an_empty_database_and_no_other(
    enrolled: Settings, servers: Servers, tmp_path: Path
) -> None:
    environment = environment_of(enrolled)
    backup = str(tmp_path / "backup")
    _require_a_sentence(
        expunge("restore", backup, environment=environment), 1, "no complete backup"
    )
    assert expunge("backup", backup, environment=environment).returncode == 0
    _require_a_sentence(expunge("restore", backup, environment=environment), 1, "is not empty")
    environment["DATABASE_URL"] = servers.database("template0")
    restored = expunge("restore", backup, environment=environment)
    assert restored.returncode == 0, restored.stderr
    assert "restored as of" in restored.stdout
    assert expunge("ready", environment=environment).returncode == 0
