"""Enrolments that are interrupted: by the death of a process that helps, or by a person."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError

from models.errors import EnrolmentRefused
from models.records import AuditRecord, Checkpoint, ModelState, RegisteredModel
from models.registry import find_model
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import PIPELINE_KEY, Digits, client_for, work
from tests.integration.workers.enrolment.test_pipeline import fewer, registered
from workers import persistence
from workers.enrolment import foreground, ranks
from workers.enrolment.foreground import enrol_here
from workers.enrolment.pipeline import enrol
from workers.enrolment.records import begin_enrolment, interrupt_enrolment, lay_down_enrolment
from workers.failures import Failure
from workers.leases import take_lease
from workers.progress import Progress
from workers.resources import Resources, open_resources

SHARD = 10


@pytest.fixture
def few(digits: Digits, tmp_path: Path) -> Enrolment:
    """Of so few digits that it takes hardly any time."""
    return fewer(digits, tmp_path)


@pytest.fixture
def alone(settings: Settings, tmp_path: Path) -> Settings:
    """Settings whose data folder no other test sees, and with small shards."""
    return settings.model_copy(update={"data_dir": tmp_path / "data", "shard_size": SHARD})


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Has torchrun be killed so many times as it starts; returns a folder with a file for each."""

    def arrange(times: int) -> Path:
        deaths = tmp_path / "deaths"
        deaths.mkdir()
        (tmp_path / "dies_first.py").write_text(
            "import os, pathlib, runpy, signal\n"
            f"deaths = pathlib.Path({str(deaths)!r})\n"
            f"if len(list(deaths.iterdir())) < {times}:\n"
            "    (deaths / str(os.getpid())).touch()\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            f"runpy.run_module({ranks.PROGRAM!r}, run_name='__main__')\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(ranks, "PROGRAM", "dies_first")
        return deaths

    return arrange


def _model(resources: Resources, name: str = "few") -> RegisteredModel:
    with resources.database.reading() as session:
        return find_model(session, name)


def test_the_death_of_a_process_is_made_up_for_by_the_next_try(
    alone: Settings, few: Enrolment, dying: Callable[[int], Path]
) -> None:
    deaths = dying(1)
    enrol_here(few, alone.model_copy(update={"processes": 2}))
    assert len(list(deaths.iterdir())) == 1
    with open_resources(alone) as resources:
        assert _model(resources).state is ModelState.ACTIVE


def test_an_enrolment_whose_processes_die_again_and_again_fails_and_says_so(
    alone: Settings, few: Enrolment, dying: Callable[[int], Path]
) -> None:
    deaths = dying(99)
    with open_resources(alone.model_copy(update={"processes": 2})) as resources:
        model_id = registered(resources, few)
        for tried in range(1, alone.max_attempts + 1):
            assert _model(resources).state is ModelState.ENROLLING
            enrol(model_id, resources)
            assert len(list(deaths.iterdir())) == tried
        model = _model(resources)
    assert model.state is ModelState.ENROLMENT_FAILED
    assert model.failure is not None
    assert model.failure["kind"] == "ranks-failed"
    assert "ended with status -9" in model.failure["detail"]


@pytest.mark.parametrize("mended", [False, True])
def test_a_database_that_takes_no_writes_for_a_while_fails_no_enrolment(
    alone: Settings, few: Enrolment, monkeypatch: pytest.MonkeyPatch, mended: bool
) -> None:
    def refuse_writes() -> None:
        _alter(alone, "SET default_transaction_read_only = on")

    def accept_writes(_seconds: float) -> None:
        _alter(alone, "RESET default_transaction_read_only")

    if mended:
        # Before what could not be written is tried again.
        monkeypatch.setattr(persistence.time, "sleep", accept_writes)
    else:
        monkeypatch.setattr(persistence, "PATIENCE_S", 0)
    with open_resources(alone) as resources:
        model_id = registered(resources, few)
        tried = nullcontext() if mended else pytest.raises(DBAPIError)
        with tried:
            enrol(model_id, resources, _once(SHARD, refuse_writes))
        accept_writes(0)
        assert _model(resources).state is (ModelState.ACTIVE if mended else ModelState.ENROLLING)


def test_an_enrolment_is_laid_down_once_however_often_that_is_written(
    alone: Settings, few: Enrolment
) -> None:
    with open_resources(alone) as resources:
        model_id = registered(resources, few)
        for _ in range(2):
            enrolling = begin_enrolment(model_id, resources)
            assert enrolling is not None
            interrupt_enrolment(enrolling, Failure("ranks-failed", "It has died."), resources)
        enrolling = begin_enrolment(model_id, resources)
        assert enrolling is not None
        # The answer to the first has been lost, say.
        lay_down_enrolment(enrolling, resources)
        lay_down_enrolment(enrolling, resources)
        assert _model(resources).enrolment_attempts == 2


def test_an_enrolment_that_waits_for_a_worker_is_cancelled_for_good(
    alone: Settings, few: Enrolment
) -> None:
    with client_for(alone) as client:
        client.post("/v1/models", json=few.model_dump(mode="json"))
        cancelled = client.post("/v1/models/few/cancel")
        assert cancelled.status_code == 200
        work(alone)
        view = client.get("/v1/models/few").json()
    assert view == cancelled.json()
    assert view["state"] == "enrolment_failed"
    assert view["failure"]["kind"] == "enrolment-cancelled"
    assert "'admin'" in view["failure"]["detail"]
    with open_resources(alone) as resources, resources.database.reading() as session:
        events = session.scalars(select(AuditRecord.event).order_by(AuditRecord.sequence)).all()
    assert events == ["enrolment.requested", "enrolment.cancelled"]


def test_a_worker_keeps_nothing_of_an_enrolment_that_is_cancelled_but_its_notes(
    alone: Settings, few: Enrolment
) -> None:
    with client_for(alone) as client, open_resources(alone) as resources:
        model_id = registered(resources, few)
        enrol(model_id, resources, _once(SHARD, lambda: client.post("/v1/models/few/cancel")))
        assert _model(resources).state is ModelState.ENROLMENT_FAILED
        assert _counted(resources) == 0
    assert list((alone.data_dir / "enrolments").iterdir())


def test_whoever_was_at_a_cancelled_enrolment_does_not_end_the_one_that_is_posted_after_it(
    alone: Settings, few: Enrolment
) -> None:
    with client_for(alone) as client, open_resources(alone) as resources:
        model_id = registered(resources, few)

        def post_again() -> None:
            assert client.post("/v1/models/few/cancel").status_code == 200
            again = few.model_copy(update={"holdout": few.holdout.model_copy(update={"seed": 1})})
            assert client.post("/v1/models", json=again.model_dump(mode="json")).is_success

        enrol(model_id, resources, _once(SHARD, post_again))
        assert _model(resources).state is ModelState.ENROLLING
        assert _counted(resources) == 0
        work(alone)
        assert _model(resources).state is ModelState.ACTIVE


def test_nobody_has_to_wait_for_the_lease_of_a_cancelled_enrolment_to_run_out(
    alone: Settings, few: Enrolment
) -> None:
    with client_for(alone) as client, open_resources(alone) as resources:
        model_id = registered(resources, few)
        with resources.database.transaction() as session:
            take_lease(session, model_id, "somebody-else", 3600)
        client.post("/v1/models/few/cancel")
        enrol_here(few, alone)
        assert _model(resources).state is ModelState.ACTIVE


def test_who_follows_an_enrolment_in_the_foreground_is_told_that_it_was_cancelled(
    alone: Settings, few: Enrolment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_for(alone) as client, open_resources(alone) as resources:
        model_id = registered(resources, few)
        with resources.database.transaction() as session:
            take_lease(session, model_id, "somebody-else", 3600)
        # It pauses as soon as it has found that somebody else is at it.
        monkeypatch.setattr(
            foreground.time, "sleep", lambda _s: client.post("/v1/models/few/cancel")
        )
        with pytest.raises(EnrolmentRefused, match="Cancelled by 'admin'"):
            enrol_here(few, alone)


def test_only_what_is_enrolling_is_cancelled_and_only_by_admins(enrolled: Settings) -> None:
    with client_for(enrolled) as client, client_for(enrolled, PIPELINE_KEY) as pipeline:
        before = client.get("/v1/models/digits").json()
        refused = client.post("/v1/models/digits/cancel")
        assert (refused.status_code, refused.json()["type"]) == (
            409,
            "urn:expunge:problem:model-not-enrolling",
        )
        assert client.get("/v1/models/digits").json() == before
        assert client.post("/v1/models/nowhere/cancel").status_code == 404
        assert pipeline.post("/v1/models/digits/cancel").status_code == 403


def _alter(settings: Settings, change: str) -> None:
    """Change the database, and have everybody who is connected to it connect anew."""
    engine = create_engine(settings.database_url, isolation_level="AUTOCOMMIT")
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(f'ALTER DATABASE "{engine.url.database}" {change}'))
        connection.execute(
            text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        )
    engine.dispose()


def _once(samples: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """A listener to progress that acts as soon as so many samples are done."""
    acted = False

    def listen(progress: Progress) -> None:
        nonlocal acted
        if progress.done >= samples and not acted:
            acted = True
            act()

    return listen


def _counted(resources: Resources) -> int:
    """Checkpoints that there are."""
    with resources.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Checkpoint)) or 0
