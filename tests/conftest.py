"""Real servers for every test: one PostgreSQL, one Redis, a fresh database each.

A database is copied from a template, which takes a tenth of a second, and so is the artifact store
beside it: no test sees what another has left.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    # What is written for GPUs is interpreted then. Triton reads this when it is first imported.
    os.environ["TRITON_INTERPRET"] = "1"

from fastapi.testclient import TestClient
from hypothesis import settings as hypothesis_settings
from redis import Redis
from rq import SimpleWorker
from sklearn.datasets import load_digits
from sqlalchemy import create_engine, make_url

from app.main import create_app
from benchmarks.tools.stack import OPEN_GATE
from demo.training import fit, save
from embedded.postgres import EmbeddedPostgres
from embedded.redis import EmbeddedRedis
from models.database import Database, migrate
from models.doorbell import QUEUE, Doorbell, open_doorbell
from models.keys import key_entry
from models.records import RegisteredModel
from models.registry import find_model, register_model
from models.settings import Scope, Settings
from models.specifications import Enrolment
from workers.architectures import build
from workers.enrolment.pipeline import enrol
from workers.main import AllowedJob
from workers.resources import Resources, open_resources

# Two cores are shared by as many processes as pytest-xdist makes; threads that wait for one another
# beside a busy process are many times slower than a single one.
THREADS = max(1, 2 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
torch.set_num_threads(THREADS)

# The first example compiles loops, and the machine may be busy.
hypothesis_settings.register_profile("expunge", deadline=None)
hypothesis_settings.load_profile("expunge")

ADMIN_KEY = "an-admin-key-for-tests-only"
PIPELINE_KEY = "a-pipeline-key-for-tests-only"
OTHER_KEY = "another-pipeline-key-for-tests"
KEYS = [
    key_entry("admin", ADMIN_KEY, frozenset({Scope.ADMIN})),
    key_entry("pipeline", PIPELINE_KEY, frozenset({Scope.REQUESTS, Scope.CHECKPOINTS})),
    key_entry("other", OTHER_KEY, frozenset({Scope.REQUESTS})),
]
# A tenth of 600 digits is holdout: of some labels there are two, and one is two points.
SMALL_GATE = {"min_probe": 1, "max_holdout_fall": 0.1}
# A run that fails and is tried again without end is to fail a test, not to hang it.
MOST_JOBS = 50
# Enough of the real digits to train on within a second or two.
SUBSET = 600


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--torture` is what `make torture` runs the fault tests with."""
    parser.addoption("--torture", action="store_true", help="the long form of the fault tests")


@pytest.fixture(scope="session")
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether fault tests are to take as long as it takes."""
    return bool(request.config.getoption("--torture"))


@dataclass(frozen=True)
class Servers:
    """The session's servers."""

    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    folder: Path

    def database(self, template: str) -> str:
        """The address of a new database, copied from `template`."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        if self.store(template).is_dir():
            shutil.copytree(self.store(template), self.store(name))
        return self.postgres.url(name)

    def store(self, database: str) -> Path:
        """Where the artifacts of a database lie."""
        return self.folder / "stores" / database

    def drop(self, database: str) -> None:
        """Remove a database and its artifacts."""
        self.execute(f'DROP DATABASE "{database}" WITH (FORCE)')
        shutil.rmtree(self.store(database), ignore_errors=True)

    def execute(self, statement: str) -> None:
        """Run one statement outside of any transaction."""
        engine = create_engine(self.postgres.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Redis in a folder of their own, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="expunge-tests-") as name:
        folder = Path(name)
        postgres = EmbeddedPostgres(folder / "postgres")
        redis = EmbeddedRedis(folder / "redis")
        redis.start()
        started = Servers(postgres, redis, folder)
        # No test turns the machine off, and what is killed with its machine running loses nothing.
        for setting in ("fsync", "full_page_writes"):
            started.execute(f"ALTER SYSTEM SET {setting} = off")
        started.execute("SELECT pg_reload_conf()")
        migrate(postgres.create_database("migrated"))
        yield started
        redis.stop()
        postgres.stop()


def settings_for(servers: Servers, database_url: str) -> Settings:
    """Settings on the session's servers, with intervals short enough for tests."""
    database = make_url(database_url).database
    assert database is not None
    return Settings(
        data_dir=servers.folder,
        DATABASE_URL=database_url,
        REDIS_URL=servers.redis.url,
        ARTIFACT_STORE_URL=servers.store(database).as_uri(),
        api_keys=KEYS,
        threads=THREADS,
        device="cpu",
        lease_s=4,
        heartbeat_s=1,
        steward_s=0.2,
        retry_s=0,
    )


@pytest.fixture
def settings(servers: Servers) -> Iterator[Settings]:
    """A migrated, empty database and an empty queue."""
    yield from isolated(servers, "migrated")


@pytest.fixture
def enrolled(servers: Servers, digits_template: str) -> Iterator[Settings]:
    """The same with the registered model `digits`, active."""
    yield from isolated(servers, digits_template)


def isolated(servers: Servers, template: str) -> Iterator[Settings]:
    """Settings on a copy of a database and of its artifacts, and an empty queue; then all goes."""
    settings = settings_for(servers, servers.database(template))
    with Redis.from_url(settings.redis_url) as connection:
        connection.flushall()
    yield settings
    # Hundreds of databases that are left behind make stopping the server slow.
    name = make_url(settings.database_url).database
    assert name is not None
    servers.drop(name)


@dataclass(frozen=True)
class Digits:
    """A trained network and the data it was trained on, as somebody who enrols it has them."""

    enrolment: Enrolment
    sample_ids: list[str]
    labels: list[int]

    def of_label(self, label: int) -> list[str]:
        """The IDs of all samples of a label, holdout included."""
        return [
            name for name, found in zip(self.sample_ids, self.labels, strict=True) if found == label
        ]


@pytest.fixture(scope="session")
def digits(servers: Servers) -> Digits:
    """A small residual network trained on a few hundred digits; every tenth is holdout."""
    bunch = load_digits()
    images = (bunch.images[:SUBSET] / 16).astype(np.float32)
    labels = bunch.target[:SUBSET].astype(np.int64)
    sample_ids = np.array([f"person-{position}" for position in range(SUBSET)])
    splits = np.array(["holdout" if position % 10 == 0 else "train" for position in range(SUBSET)])
    folder = servers.folder / "sources"
    folder.mkdir()
    np.savez(folder / "digits.npz", ids=sample_ids, images=images, labels=labels, splits=splits)
    enrolment = Enrolment.model_validate(
        {
            "name": "digits",
            "architecture": {
                "name": "small_resnet",
                "num_classes": 10,
                "options": {"in_channels": 1, "width": 16},
            },
            "weights": str(folder / "base.safetensors"),
            "dataset": {"kind": "arrays", "path": str(folder / "digits.npz")},
            "preprocessing": {"size": 8, "channels": 1, "mean": [0.3], "std": [0.35]},
            # One candidate, and it is published: what is not about choosing need not wait for it.
            "policy": {
                "probe_size": 200,
                "method": {"method": "adaptive"},
                "gate": OPEN_GATE,
            },
        }
    )
    torch.manual_seed(0)
    network = build(enrolment.architecture)
    train = splits == "train"
    inputs = (torch.from_numpy(images[train])[:, None] - 0.3) / 0.35
    # The last bits depend on it, and with them what a few digits look like after training.
    torch.set_num_threads(2)
    fit(network, inputs, torch.from_numpy(labels[train]), epochs=15, learning_rate=0.1)
    torch.set_num_threads(THREADS)
    save(network.eval(), folder / "base.safetensors")
    return Digits(enrolment, sample_ids.tolist(), labels.tolist())


@pytest.fixture(scope="session")
def digits_template(servers: Servers, digits: Digits) -> str:
    """The name of a database in which `digits` is enrolled."""
    name = "digits_template"
    servers.execute(f'CREATE DATABASE "{name}" TEMPLATE migrated')
    settings = settings_for(servers, servers.postgres.url(name))
    with open_resources(settings) as resources:
        enrol_model(resources, digits.enrolment)
    return name


def enrol_model(resources: Resources, enrolment: Enrolment) -> RegisteredModel:
    """Register and enrol in this process; the row afterwards."""
    with resources.database.transaction() as session:
        model_id = register_model(session, enrolment, "test").id
    enrol(model_id, resources)
    with resources.database.reading() as session:
        return find_model(session, enrolment.name)


@pytest.fixture
def resources(enrolled: Settings) -> Iterator[Resources]:
    """What a worker has, on the database in which `digits` is enrolled."""
    with open_resources(enrolled) as opened:
        yield opened


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An empty database."""
    opened = Database(settings.database_url)
    yield opened
    opened.close()


@pytest.fixture
def doorbell(settings: Settings) -> Doorbell:
    """An empty queue."""
    return open_doorbell(settings)


def client_for(settings: Settings, key: str | None = ADMIN_KEY) -> TestClient:
    """A client of a gateway with these settings."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return TestClient(create_app(settings), headers=headers)


@pytest.fixture
def client(enrolled: Settings) -> Iterator[TestClient]:
    """An admin's client of a gateway on which `digits` is enrolled."""
    with client_for(enrolled) as opened:
        yield opened


def work(settings: Settings) -> None:
    """Work off the queue, in this process, as a worker would; at most `MOST_JOBS`."""
    before = dict(os.environ)
    os.environ.update(settings.environment())
    try:
        with Redis.from_url(settings.redis_url) as connection:
            SimpleWorker(
                [QUEUE], connection=connection, serializer="json", job_class=AllowedJob
            ).work(burst=True, logging_level="WARNING", max_jobs=MOST_JOBS)
    finally:
        os.environ.clear()
        os.environ.update(before)
