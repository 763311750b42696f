"""What a job works with: database, store, queue, device; opened in the process that uses them."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from models.artifacts import ArtifactStore, open_store
from models.database import Database
from models.doorbell import Doorbell, open_doorbell
from models.settings import Settings


@dataclass(frozen=True)
class Resources:
    """Handed from function to function; nothing here is global."""

    settings: Settings
    database: Database
    store: ArtifactStore
    doorbell: Doorbell
    worker: str
    device: torch.device

    @property
    def actor(self) -> str:
        """Who it is on the audit log."""
        return actor_of(self.worker)


@contextmanager
def open_resources(settings: Settings) -> Iterator[Resources]:
    """Connect, and disconnect at the end. Call it after a fork, never before."""
    settings.require_services()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    require_determinism()
    database = Database(settings.database_url, pool_size=3, idle_limit_s=settings.lease_s)
    try:
        yield Resources(
            settings=settings,
            database=database,
            store=open_store(settings.artifact_store_url),
            doorbell=open_doorbell(settings),
            worker=worker_name(),
            device=choose_device(settings.device),
        )
    finally:
        database.close()


def require_determinism() -> None:
    """The same sample must give the same gradient every time, at full precision."""
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    # The other kernels of attention add gradients up in any order.
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


# Containers may have the same host name, and the same process IDs in it.
_OWN = secrets.token_hex(4)


def worker_name(pid: int | None = None) -> str:
    """Who holds a lease: host and process, this one or one that was forked from it."""
    return f"{socket.gethostname()}:{pid or os.getpid()}:{_OWN}"


def actor_of(worker: str) -> str:
    """Who a worker of that name is on the audit log."""
    return f"worker:{worker}"


def choose_device(wanted: str) -> torch.device:
    """`auto` is the GPU if there is one."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)
