"""A storm: clients post, something keeps being killed, and at the end all must be as promised."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import OperationalError

from embedded.postgres import EmbeddedPostgres
from embedded.redis import EmbeddedRedis
from models.database import migrate
from models.settings import Settings
from models.specifications import Enrolment
from tests.conftest import ADMIN_KEY, KEYS, Digits, enrol_model
from tests.faults.checker import check, ended, pending
from tests.faults.client import Client, read_journal
from tests.faults.site import Site
from workers.resources import Resources, open_resources

NAME = "storm"
# Sample IDs that no request names, so that something is left to be retained.
KEPT = 200
CLIENTS = 4
# Between two requests of a client.
PAUSE_S = 0.02
CALM_S = 1200.0


@dataclass
class Told:
    """What a storm was, in numbers."""

    requests: int = 0
    repeated: int = 0
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """One line."""
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.requests} requests acknowledged, {self.repeated} answers lost or refused and "
            f"repeated, {self.kills.total()} kills ({kills}) in {self.seconds:.0f} s; "
            f"checked: {dict(self.checked)}; 0 lost, 0 published twice, 0 forks, 0 gaps"
        )


Trouble = Callable[[Site], None]


class Storm:
    """A site with servers of its own, on which a tiny network with many samples is enrolled."""

    def __init__(self, site: Site, samples: int) -> None:
        self.site = site
        self._samples = samples
        self._journal = site.folder / "journal"
        self._stop = threading.Event()
        self._told = Told()

    def rage(self, trouble: Trouble, *, every_s: float, until: Callable[["Storm"], bool]) -> Told:
        """Post and make trouble until enough has happened; let it calm down; check everything."""
        begun = time.monotonic()
        posting = [threading.Thread(target=self._post, args=(n,)) for n in range(CLIENTS)]
        with self.site.running():
            for thread in posting:
                thread.start()
            while not until(self):
                time.sleep(every_s)
                trouble(self.site)
            self._stop.set()
            for thread in posting:
                thread.join()
            self._told.seconds = time.monotonic() - begun
            with open_resources(self.site.settings) as resources:
                deadline = time.monotonic() + CALM_S
                while not _is_settled(resources):
                    assert time.monotonic() < deadline, (
                        f"not settled after {ended(resources)}\n{self.site.logs()}"
                    )
                    time.sleep(0.5)
                journal = read_journal(self._journal)
                self._told.checked = check(resources, NAME, journal)
        self._told.requests = len(journal)
        self._told.kills = self.site.kills
        return self._told

    @property
    def acknowledged(self) -> int:
        """Requests so far."""
        return len(read_journal(self._journal))

    def _post(self, number: int) -> None:
        chance = random.Random(number)
        client = Client(self.site.settings, ADMIN_KEY, self._journal, self._stop)
        while not self._stop.is_set():
            some = chance.sample(range(self._samples - KEPT), chance.randint(1, 3))
            client.post(NAME, [f"s-{position}" for position in some])
            self._stop.wait(PAUSE_S)
        self._told.repeated += client.refused
        client.close()


def _is_settled(resources: Resources) -> bool:
    """Whether nothing is pending; the database itself may be down for another moment."""
    try:
        return not pending(resources)
    except OperationalError:
        return False


@contextmanager
def storm(folder: Path, digits: Digits, port: int, samples: int) -> Iterator[Storm]:
    """Set one up; its servers are stopped at the end."""
    with ExitStack() as stack:
        redis = EmbeddedRedis(folder / "redis")
        redis.start()
        stack.callback(redis.stop)
        postgres = EmbeddedPostgres(folder / "postgres")
        stack.callback(postgres.stop)
        migrate(postgres.create_database())
        settings = Settings(
            data_dir=folder,
            DATABASE_URL=postgres.url(),
            REDIS_URL=redis.url,
            ARTIFACT_STORE_URL=(folder / "artifacts").as_uri(),
            api_keys=KEYS,
            threads=1,
            device="cpu",
            lease_s=3,
            heartbeat_s=0.75,
            steward_s=0.5,
            retry_s=0.2,
            gateway_port=port,
            log_level="WARNING",
            # Else runs grow with what has piled up, until none is short enough to be spared.
            max_items_per_run=400,
        )
        with open_resources(settings) as resources:
            enrol_model(resources, _enrolment(folder, digits, samples))
        yield Storm(Site(settings, folder, postgres=postgres, redis=redis), samples)


def _enrolment(folder: Path, digits: Digits, samples: int) -> Enrolment:
    """The digits' network, on so many noisy copies of digits."""
    with np.load(digits.enrolment.dataset.path) as arrays:  # type: ignore[union-attr]
        images: NDArray[np.float32] = arrays["images"]
        labels: NDArray[np.int64] = arrays["labels"]
    chance = np.random.default_rng(0)
    chosen = chance.integers(0, len(images), samples)
    noise = chance.normal(0, 0.1, (samples, *images.shape[1:])).astype(np.float32)
    splits = np.where(np.arange(samples) >= samples - KEPT // 2, "holdout", "train")
    np.savez(
        folder / "storm.npz",
        ids=np.array([f"s-{position}" for position in range(samples)]),
        images=np.clip(images[chosen] + noise, 0, 1),
        labels=labels[chosen],
        splits=splits,
    )
    changed = {"kind": "arrays", "path": str(folder / "storm.npz")}
    return Enrolment.model_validate(
        {**digits.enrolment.model_dump(by_alias=True), "name": NAME, "dataset": changed}
    )
