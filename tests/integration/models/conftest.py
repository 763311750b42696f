"""Databases that are set back, beside a store that is not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import make_url

from models.doorbell import Job
from models.failpoints import Failpoint
from models.journal import Journal, keep_journal, open_journal
from models.settings import Settings
from tests.conftest import Servers, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.transactions.test_claims import claimed
from workers.pipeline import unlearn
from workers.resources import open_resources
from workers.transactions import publication


@pytest.fixture
def journal(enrolled: Settings) -> Journal:
    """The journal beside the story's artifacts."""
    return open_journal(enrolled.artifact_store_url)


def copy_database(story: Story, servers: Servers) -> Settings:
    """The story's settings on a copy of its database as it is now, and on its own store."""
    settings = story.resources.settings
    story.database.close()
    name = make_url(settings.database_url).database
    assert name is not None
    return settings.model_copy(update={"database_url": servers.database(name)})


@contextmanager
def set_back_to(settings: Settings) -> Iterator[Story]:
    """The story as it goes on with an older database."""
    with open_resources(settings) as resources:
        yield Story(resources)


def make_up(story: Story) -> None:
    """What steward and worker do until there is nothing left to do."""
    journal = open_journal(story.resources.settings.artifact_store_url)
    keep_journal(story.database, journal)
    story.resources.doorbell.ring(Job.UNLEARN, story.model().id)
    work(story.resources.settings)
    keep_journal(story.database, journal)


class Died(BaseException):
    """Nothing of the worker's own is done after this."""


def publish_until(
    story: Story, monkeypatch: pytest.MonkeyPatch, step: Failpoint, end: Callable[[], object]
) -> None:
    """Carry out what was posted up to a step of its publication, and do there what `end` does."""

    def come_to(reached: Failpoint) -> None:
        if reached is step:
            end()

    monkeypatch.setattr(publication, "failpoint", come_to)
    with suppress(Died):
        unlearn(claimed(story, story.resources), story.resources)
    monkeypatch.undo()


def die() -> None:
    """As a worker does that is killed."""
    raise Died
