"""A whole Expunge for a benchmark: real servers and processes, one database per scenario.

The network is enrolled once; every scenario then gets a copy of that database, its own Redis and
its own gateway, worker and steward, and talks to them over HTTP.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import create_engine, make_url

from benchmarks.tools.ports import free_port
from embedded.addresses import key_file
from embedded.postgres import EmbeddedPostgres
from embedded.up import address, running
from models.database import migrate
from models.settings import Settings
from models.specifications import Enrolment
from workers.tensors import read_tensors

TEMPLATE = "enrolled"
# A gate that lets everything through, for what is not about gates.
OPEN_GATE: dict[str, Any] = {
    "max_retained_fall": 1,
    "max_class_fall": 1,
    "max_holdout_fall": 1,
    "max_membership": 0.5,
    "max_excess": 1,
    "min_probe": 1,
    "max_forgotten_share": 1,
    "on_shortfall": "best_effort",
}


class Service:
    """One running Expunge, seen through its HTTP API."""

    def __init__(self, settings: Settings) -> None:
        key = key_file(settings.data_dir, "admin").read_text()
        self.settings = settings
        self._client = httpx2.Client(
            base_url=address(settings),
            headers={"Authorization": f"Bearer {key}"},
            timeout=120,
            follow_redirects=True,
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """A representation."""
        return self._client.get(path, params=parameters).raise_for_status().json()

    def enrol(self, enrolment: Enrolment) -> Any:
        """Enrol and wait for the end."""
        self._client.post("/v1/models", json=enrolment.model_dump(mode="json")).raise_for_status()
        while True:
            model = self.get(f"/v1/models/{enrolment.name}", wait=60)
            if model["state"] != "enrolling":
                return model

    def forget(self, model: str, sample_ids: list[str]) -> Any:
        """Post, wait for the end, and return the run."""
        posted = self._client.post(
            "/v1/deletion-requests", json={"model": model, "sample_ids": sample_ids}
        ).raise_for_status()
        while True:
            request = self.get(posted.headers["Location"], wait=60)
            if request["status"] not in ("pending", "running"):
                return self.get(request["run"]["href"])

    def download(self, model: str, path: Path) -> dict[str, Any]:
        """The weights of the head."""
        response = self._client.get(f"/v1/models/{model}/checkpoints/latest/file")
        path.write_bytes(response.raise_for_status().content)
        return read_tensors(path)[0]


class Stack:
    """PostgreSQL, and an enrolled database to copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        migrate(self.postgres.create_database(TEMPLATE))

    def copy(self, name: str) -> str:
        """The address of a new copy of the enrolled database."""
        engine = create_engine(self.postgres.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
        engine.dispose()
        shutil.copytree(self._store(TEMPLATE), self._store(name))
        return self.postgres.url(name)

    def _store(self, database: str) -> Path:
        """Every database has a store of its own."""
        return self.folder / "stores" / database

    @contextmanager
    def service(
        self,
        name: str,
        database_url: str,
        policy: Mapping[str, Any] | None = None,
        device: str = "auto",
    ) -> Iterator[Service]:
        """Gateway, worker and steward on a database, for the time of the block."""
        if policy is not None:
            _set_policy(database_url, policy)
        settings = Settings(
            data_dir=self.folder / name,
            DATABASE_URL=database_url,
            REDIS_URL="",
            api_keys=[],
            ARTIFACT_STORE_URL=self._store(str(make_url(database_url).database)).as_uri(),
            gateway_port=free_port(),
            device=device,
            log_level="WARNING",
        )
        with running(settings, threading.Event()):
            yield Service(settings)


@contextmanager
def open_stack() -> Iterator[Stack]:
    """A stack in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="expunge-bench-") as name:
        stack = Stack(Path(name))
        try:
            yield stack
        finally:
            stack.postgres.stop()


def _set_policy(database_url: str, policy: Mapping[str, Any]) -> None:
    from models.database import Database
    from models.records import RegisteredModel
    from models.specifications import Policy

    database = Database(database_url)
    checked = Policy.model_validate(policy).model_dump(mode="json", by_alias=True)
    with database.transaction() as session:
        for model in session.query(RegisteredModel):
            model.policy = checked
    database.close()
