"""Every named step × death, error, stall past the lease and full disk: all converge.

After each fault the request that met it is settled once; at the end the lineage is dense and the
head has the bytes of the head of a run of the same requests that nobody disturbed.
"""

import itertools
import threading
from pathlib import Path

import pytest
import torch
from sqlalchemy import select

from models.database import Database
from models.failpoints import Failpoint
from models.records import Checkpoint, DeletionRequest, RequestState
from models.settings import Settings
from tests.conftest import ADMIN_KEY, Digits, Servers, settings_for
from tests.faults.checker import check, pending
from tests.faults.client import Client, read_journal
from tests.faults.conftest import StartSite
from tests.integration.workers.conftest import Story
from tests.support.waiting import until
from workers.pipeline import unlearn
from workers.resources import open_resources
from workers.transactions.claims import claim

pytestmark = pytest.mark.timeout(1800)

# Longer than a lease of these tests lives.
ACTIONS = ("kill", "raise", "stall 4", "full")
CASES = list(itertools.product(Failpoint, ACTIONS))
# Every step once, every action several times, within the minutes that a test may take.
SHORT = [case for number, case in enumerate(CASES) if number % 4 == (number // 4) % 4]
SETTLE_S = 90.0


def test_every_step_survives_every_fault(
    hurried: Settings,
    start_site: StartSite,
    servers: Servers,
    digits: Digits,
    torture: bool,
    digits_template: str,
    tmp_path: Path,
) -> None:
    cases = CASES if torture else SHORT
    batches = _batches(digits, len(cases))
    journal = tmp_path / "journal"
    site = start_site(hurried)
    client = Client(hurried, ADMIN_KEY, journal, threading.Event())
    settled: list[str] = []
    with open_resources(hurried) as resources:
        for (step, action), batch in zip(cases, batches, strict=True):
            site.arm(step, action)
            accepted = client.post("digits", batch)
            assert accepted is not None
            request_id = accepted.request_id
            assert until(lambda id_=request_id: _settled(resources.database, id_), SETTLE_S), (
                f"{step}, {action}: not settled\n{site.logs()}"
            )
            hit = until(lambda step_=step: not site.is_armed(step_), SETTLE_S)
            assert hit, f"{step} was never hit"
            settled.append(f"{step}: {action}")
        client.close()
        assert pending(resources) == 0
        counts = check(resources, "digits", read_journal(journal))
        head = _head(resources.database)
    assert head == _undisturbed(servers, digits_template, batches)
    missed = set(Failpoint) - set(site.reached)
    assert not missed, f"never come to: {missed}"
    told = f"{len(settled)} faults at {len(Failpoint)} steps: {dict(counts)}, head undisturbed"
    print(f"\n{told}")


def _batches(digits: Digits, count: int) -> list[list[str]]:
    """Two training samples a request, of all labels in turn."""
    training = [name for name in digits.sample_ids if int(name.split("-")[1]) % 10]
    assert 2 * count <= len(training)
    return [training[2 * n : 2 * n + 2] for n in range(count)]


def _settled(database: Database, request_id: object) -> bool:
    with database.reading() as session:
        return session.get_one(DeletionRequest, request_id).state is RequestState.SETTLED


def _head(database: Database) -> str:
    with database.reading() as session:
        return session.scalars(
            select(Checkpoint.sha256).order_by(Checkpoint.version.desc()).limit(1)
        ).one()


def _undisturbed(servers: Servers, template: str, batches: list[list[str]]) -> str:
    """The head's digest after the same batches in the same order, with nothing in their way."""
    settings = settings_for(servers, servers.database(template)).model_copy(update={"threads": 1})
    threads = torch.get_num_threads()
    with open_resources(settings) as resources:
        story = Story(resources)
        for batch in batches:
            story.post(batch)
            # Not by a ring: the workers of the site listen to the same Redis.
            run = claim(story.model().id, resources)
            assert run is not None
            unlearn(run, resources)
        torch.set_num_threads(threads)
        return _head(resources.database)
