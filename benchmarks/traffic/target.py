"""A gateway to be loaded: real servers, one process, a registered model made of rows alone.

Nobody computes here, so the model is not enrolled: its rows and a file are put where an enrolment
would have put them.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
from sqlalchemy import func, insert, literal, select

from benchmarks.tools.ports import free_port
from embedded.postgres import EmbeddedPostgres
from embedded.redis import EmbeddedRedis
from models.artifacts import Writer, open_store
from models.database import Database, migrate
from models.keys import make_key
from models.records import Checkpoint, RegisteredModel, Sample
from models.records.states import ModelState, Split
from models.settings import Scope, Settings
from models.specifications import ArchitectureSpec, ArraysSpec, Enrolment, Preprocessing

MODEL = "faces"
LABELS = 10
START_S = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """The gateway process, where it listens, and a key that it knows."""

    process: "subprocess.Popen[bytes]"
    settings: Settings
    key: str
    samples: int

    @property
    def cpu_seconds(self) -> float:
        """What the process has computed so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def resident_bytes(self) -> int:
        """The memory that the process has at this moment."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def clear(self) -> None:
        """Forget all requests, so that phases do not slow one another."""
        url = self.settings.database_url.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("TRUNCATE deletion_item, deletion_request, audit_record")
            # Not the empty tables: the plans of their foreign keys would be made for empty ones.
            connection.execute("ANALYZE sample, registered_model")


@contextmanager
def running_target(samples: int, file_bytes: int) -> Iterator[Target]:
    """Everything is up inside the block; only the gateway is measured."""
    with tempfile.TemporaryDirectory(prefix="expunge-load-") as name:
        folder = Path(name)
        postgres, redis = EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
        redis.start()
        try:
            migrate(url := postgres.create_database())
            key, entry = make_key("load", frozenset({Scope.ADMIN}))
            settings = Settings(
                data_dir=folder,
                DATABASE_URL=url,
                REDIS_URL=redis.url,
                ARTIFACT_STORE_URL=(folder / "artifacts").as_uri(),
                api_keys=[entry],
                gateway_port=free_port(),
                log_level="WARNING",
            )
            _register(settings, samples, file_bytes)
            with _gateway(settings) as process:
                target = Target(process, settings, key, samples)
                target.clear()
                yield target
        finally:
            redis.stop()
            postgres.stop()


@contextmanager
def _gateway(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, **settings.environment()}
    process = subprocess.Popen([sys.executable, "-m", "expunge", "gateway"], env=environment)
    try:
        _wait(settings, process)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(settings: Settings, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx2.get(f"http://127.0.0.1:{settings.gateway_port}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise RuntimeError("The gateway did not become ready.")


def _register(settings: Settings, samples: int, file_bytes: int) -> None:
    content = secrets.token_bytes(file_bytes)

    def write(writer: Writer) -> None:
        writer.write(content)

    artifact = open_store(settings.artifact_store_url).put(write)
    enrolment = Enrolment(
        name=MODEL,
        architecture=ArchitectureSpec(name="resnet18", num_classes=LABELS),
        weights="base.safetensors",
        dataset=ArraysSpec(path="faces.npz"),
        preprocessing=Preprocessing(size=32, channels=3, mean=[0.5], std=[0.25]),
    )
    database = Database(settings.database_url)
    with database.transaction() as session:
        model = RegisteredModel(
            name=MODEL,
            state=ModelState.ACTIVE,
            specification=enrolment.model_dump(mode="json"),
            policy=enrolment.policy.model_dump(mode="json", by_alias=True),
            head_version=0,
            label_counts={
                "train": {str(n): samples // LABELS for n in range(LABELS)},
                "holdout": {},
            },
        )
        session.add(model)
        session.flush()
        number = func.generate_series(0, samples - 1).column_valued("number")
        rows = select(
            literal(model.id),
            func.concat("sample-", number),
            number,
            number % LABELS,
            literal(Split.TRAIN.value),
            number,
        )
        columns = ["model_id", "sample_id", "position", "label", "split", "probe_rank"]
        session.execute(insert(Sample).from_select(columns, rows))
        session.add(
            Checkpoint(
                model_id=model.id,
                version=0,
                sha256=artifact.sha256,
                size=artifact.size,
                forgotten_count=0,
                weakened_count=0,
            )
        )
    database.close()
