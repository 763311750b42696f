"""Every setting of every process, read from the environment.

`expunge up` also writes the addresses of its embedded servers to `services.env` in the data
folder, so that a command started in another shell finds them; the environment wins over the file.
"""

import json
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from models.errors import NotConfigured

# Who asks once more for the deletions that a restored database has lost (`models/journal`). Nobody
# may withdraw these, so no client may go by the name.
RESTORE = "restore"
# As much as twelve labels of a ResNet18 have.
LABEL_SUMS_BYTES = 1 << 30
# More readers of a run than that are for whoever runs it to ask for.
MOST_READERS = 4
# As much as 1 780 images of 224 x 224 in three channels have.
PROBE_BYTES = 1 << 30
# An address of the sixth version stands in brackets.
HOST_AND_PORT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):([0-9]{1,5})")

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)
]


class Scope(StrEnum):
    """What an API key may do. `admin` may do everything."""

    REQUESTS = "requests"
    CHECKPOINTS = "checkpoints"
    ADMIN = "admin"


class ApiKey(BaseModel):
    """One client's key: only its SHA-256 is kept, the key itself never is."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope]

    @field_validator("name")
    @classmethod
    def _is_not_taken(cls, name: str) -> str:
        if name == RESTORE:
            raise ValueError(
                f"a key cannot be called {RESTORE!r}: that is who asks again for deletions that a "
                "restored database has lost; choose another name"
            )
        return name


class Settings(BaseSettings):
    """The environment, checked. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="EXPUNGE_", extra="ignore")

    data_dir: Path = Field(
        default=Path(".expunge"), description="Folder of embedded servers, keys and artifacts."
    )
    database_url: str = Field(
        default="",
        validation_alias="DATABASE_URL",
        description="PostgreSQL, e.g. postgresql+psycopg://user:password@host/expunge.",
    )
    redis_url: str = Field(
        default="",
        validation_alias="REDIS_URL",
        description="Redis, e.g. redis://host:6379/0 or unix:///path/redis.sock.",
    )
    artifact_store_url: str = Field(
        default="",
        validation_alias="ARTIFACT_STORE_URL",
        description="Where checkpoints and Fisher sums lie, e.g. file:///var/lib/expunge.",
    )
    api_keys: list[ApiKey] = Field(
        default_factory=list, description="JSON list of {name, sha256, scopes}; see `expunge key`."
    )
    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway listens on.")
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="Port of the gateway.")
    sources_root: Path | None = Field(
        default=None,
        description="If set, weights and datasets are enrolled from below this folder only.",
    )
    gateway_grace_s: int = Field(
        default=30,
        ge=0,
        description="After SIGTERM, how long the gateway waits for answers that are under way.",
    )
    max_body_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        description="Largest body of a deletion request; others may have 64 KiB.",
    )
    max_inline_ids: int = Field(
        default=100_000, ge=1, description="Most sample IDs in one JSON request."
    )
    max_bulk_ids: int = Field(
        default=10_000_000, ge=1, description="Most sample IDs in one NDJSON request."
    )
    max_bulk_bytes: int = Field(
        default=1024**3,
        ge=1024,
        description="Largest NDJSON body accepted, as it is sent and once it is expanded.",
    )
    max_expansion: int = Field(
        default=100, ge=2, description="How many times larger a gzip body may become."
    )
    max_bodies: int = Field(
        default=256, ge=1, description="Requests with a body that are handled at once."
    )
    max_large_bodies: int = Field(
        default=4, ge=1, description="Of these, NDJSON bodies and others over 1 MiB."
    )
    max_downloads: int = Field(default=200, ge=1, description="Downloads at once.")
    body_timeout_s: float = Field(
        default=30,
        gt=0,
        description="Longest a JSON body takes to come, and longest pause within an NDJSON body.",
    )
    bulk_timeout_s: float = Field(
        default=900, gt=0, description="Longest an NDJSON body takes to come."
    )
    download_timeout_s: float = Field(
        default=4 * 3600, gt=0, description="Longest a download takes; it can go on with a Range."
    )
    max_items_per_run: int = Field(
        default=100_000, ge=1, description="Most pending items that one run takes."
    )
    max_wait_s: float = Field(default=60, ge=0, description="Longest `?wait=` of a long poll.")
    max_attempts: int = Field(
        default=3,
        ge=1,
        description="Runs that may break on a batch before it is searched for the item that does "
        "it; also enrolments that may die.",
    )
    retry_s: float = Field(
        default=30,
        ge=0,
        description="Pause after a failed run; it doubles with every attempt, up to an hour.",
    )
    grace_s: float = Field(
        default=10,
        ge=0,
        description="After SIGTERM, how long a run may go on before it is given up cleanly.",
    )
    lease_s: float = Field(default=12, gt=0, description="A lease lives this long unrenewed.")
    heartbeat_s: float = Field(
        default=3, gt=0, description="How often a worker renews its lease; at most half of that."
    )
    steward_s: float = Field(default=2, gt=0, description="How often the steward looks around.")
    collect_after_s: float = Field(
        default=3600, gt=0, description="How long a stored file is kept that nothing refers to."
    )
    scrub_bytes_per_s: int = Field(
        default=8_000_000, ge=1, description="How fast a steward re-reads what is stored."
    )
    run_limit_s: int = Field(default=3600, ge=1, description="Longest a run may take.")
    enrolment_limit_s: int = Field(
        default=7 * 24 * 3600, ge=1, description="Longest an enrolment may take."
    )
    threads: int = Field(
        default=0, ge=0, description="Threads a worker computes with; 0 means one per core."
    )
    processes: int = Field(
        default=1, ge=1, description="Processes of an enrolment; on GPUs, one for each."
    )
    nodes: int = Field(
        default=1,
        ge=1,
        description="Machines of an enrolment; on the others runs `expunge assist`.",
    )
    rendezvous: str = Field(
        default="",
        description="HOST:PORT of the first of several machines, as the others reach it.",
    )
    shard_size: int = Field(
        default=8192, ge=1, description="Samples after which an enrolment notes how far it is."
    )
    label_sums_bytes: int = Field(
        default=LABEL_SUMS_BYTES,
        ge=0,
        description="Bytes of sums that an enrolment keeps for single labels; 0 keeps none.",
    )
    loaders: int = Field(
        default=0,
        ge=0,
        description="Processes that read images, for each of an enrolment's own or for a run, "
        "which has some of its own if this is 0.",
    )
    probe_bytes: int = Field(
        default=PROBE_BYTES,
        ge=0,
        description="Bytes of images that a run keeps in memory from one candidate to the next.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="`auto`, `cpu` or `cuda`."
    )
    log_level: LogLevel = Field(default="INFO", description="Level of the log on standard error.")

    @model_validator(mode="after")
    def _lease_outlives_heartbeats(self) -> Self:
        # One renewal may fail; a lease that ran out meanwhile would be held against the samples.
        if self.lease_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"a lease of {self.lease_s:g} s runs out unless a worker renews it at least twice "
                f"in that time: EXPUNGE_HEARTBEAT_S is {self.heartbeat_s:g}; set it to at most "
                f"{self.lease_s / 2:g}, or EXPUNGE_LEASE_S to at least {2 * self.heartbeat_s:g}"
            )
        return self

    @property
    def readers(self) -> int:
        """Processes that decode images for a run, which does nothing else meanwhile."""
        return self.loaders or min(MOST_READERS, self.threads or os.cpu_count() or 1)

    def require_services(self) -> "Settings":
        """Raise `NotConfigured` unless database, queue and store all have an address."""
        missing = [
            variable
            for variable, value in (
                ("DATABASE_URL", self.database_url),
                ("REDIS_URL", self.redis_url),
                ("ARTIFACT_STORE_URL", self.artifact_store_url),
            )
            if not value
        ]
        if missing:
            raise NotConfigured(
                f"{', '.join(missing)} not set, and no embedded servers have been started in "
                f"{self.data_dir}. Run `expunge up` first, or set the addresses."
            )
        return self

    def require_rendezvous(self) -> "Settings":
        """Raise `NotConfigured` unless it is said where several machines meet, if there are any."""
        if self.nodes > 1 and not 0 < port_of(self.rendezvous) < 1 << 16:
            raise NotConfigured(
                f"{self.nodes} machines are to enrol together, and {self.rendezvous!r} is not "
                "where they can meet. Give all of them the same EXPUNGE_RENDEZVOUS or "
                "--rendezvous, HOST:PORT of the first."
            )
        return self

    def environment(self) -> dict[str, str]:
        """The environment variables from which another process reads these same settings."""
        variables = {}
        for name, value in self.model_dump(mode="json", exclude_unset=True).items():
            alias = type(self).model_fields[name].validation_alias
            variable = alias if isinstance(alias, str) else f"EXPUNGE_{name.upper()}"
            if value is not None:
                variables[variable] = value if isinstance(value, str) else json.dumps(value)
        return variables


def port_of(rendezvous: str) -> int:
    """The port in HOST:PORT; 0 if that is not what it is."""
    found = HOST_AND_PORT.fullmatch(rendezvous)
    return int(found.group(1)) if found else 0


def services_file(data_dir: Path) -> Path:
    """Where `expunge up` writes the addresses of what it started."""
    return data_dir / "services.env"


def load_settings(data_dir: Path | None = None, *, with_services: bool = True) -> Settings:
    """Read the settings; `data_dir` overrides `EXPUNGE_DATA_DIR`.

    Without `with_services` the addresses of embedded servers are not looked up. Raises
    `NotConfigured` if something is not JSON that must be, without repeating it.
    """
    folder = data_dir or Path(os.environ.get("EXPUNGE_DATA_DIR", ".expunge"))
    folder = folder.expanduser().absolute()
    file = services_file(folder) if with_services else None
    try:
        return Settings(_env_file=file, data_dir=folder)
    except SettingsError:
        raise NotConfigured(
            "EXPUNGE_API_KEYS is not JSON. It is a list of entries that `expunge key` prints, in "
            "square brackets; quote it, so that the shell leaves its quotation marks."
        ) from None
