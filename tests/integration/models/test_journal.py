"""What was published is known outside of the database, and one that was set back is found out."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from models.artifacts import SHELVES
from models.errors import ArtifactDamaged, ModelBehind, WorkerStopping
from models.failpoints import Failpoint
from models.journal import Entry, Journal, is_current, keep_journal, require_current
from models.policies import change_policy
from models.records import (
    AuditRecord,
    DeletionItem,
    DeletionRequest,
    Outcome,
    Phase,
    RequestState,
    RunState,
    UnlearningRun,
)
from models.settings import Settings
from tests.conftest import Digits, Servers, client_for, enrol_model, work
from tests.integration.app.support import CHECKPOINTS, assert_problem
from tests.integration.models.conftest import (
    Died,
    copy_database,
    die,
    make_up,
    publish_until,
    set_back_to,
)
from tests.integration.workers.conftest import Story
from tests.integration.workers.duties.test_collecting import collect, make_old, path_of, put
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.test_steward import stewardship
from tests.integration.workers.transactions.test_claims import claimed, expire
from workers.duties.recovering import take_over_expired
from workers.failures import Failure
from workers.pipeline import unlearn
from workers.transactions.breakdowns import give_up

PATHS = ("", "/latest", "/latest/file", "/0", "/0/file", "/1", "/1/file")


def folder(story: Story) -> Path:
    return story.path(0).parents[2] / "journal" / "digits"


def files(story: Story) -> list[str]:
    """Names without what differs from test to test."""
    root = folder(story)
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return [str(path.relative_to(root).parent / path.name[:10]) + path.suffix for path in found]


def behind(story: Story, journal: Journal) -> bool:
    with story.database.reading() as session:
        try:
            require_current(session, journal, "digits")
        except ModelBehind:
            return True
    return False


def replays(story: Story) -> list[DeletionRequest]:
    with story.database.reading() as session:
        query = select(DeletionRequest).where(DeletionRequest.principal == "restore")
        return list(session.scalars(query.order_by(DeletionRequest.created_at)))


def test_every_publication_is_recorded_with_its_samples_for_its_owner_alone(
    story: Story, journal: Journal, digits: Digits
) -> None:
    keep_journal(story.database, journal)
    story.forget(digits.of_label(3))
    story.forget(digits.of_label(4)[:5])
    one, two = (Entry(row.version, row.run_id) for row in story.checkpoints()[1:])
    assert sorted(journal.samples("digits", one)) == sorted(digits.of_label(3))
    assert sorted(journal.samples("digits", two)) == sorted(digits.of_label(4)[:5])
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder(story).rglob("*"))
    assert folder(story).parent.stat().st_mode & 0o077 == 0

    keep_journal(story.database, journal)
    assert files(story) == [
        "0000000002.published",
        "earlier/0000000000.published",
        "earlier/0000000001.published",
    ]
    assert sorted(journal.samples("digits", one)) == sorted(digits.of_label(3))
    assert not behind(story, journal)
    assert replays(story) == []


def test_a_database_that_was_set_back_serves_nothing_until_it_has_caught_up(
    story: Story,
    journal: Journal,
    digits: Digits,
    servers: Servers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    story.forget(digits.of_label(3))
    older = copy_database(story, servers)
    story.forget(digits.of_label(4))
    story.forget(digits.of_label(5)[:7])
    keep_journal(story.database, journal)
    head = story.path(3).read_bytes()

    with set_back_to(older) as again, client_for(older) as client:
        for path in PATHS:
            refused = client.get(CHECKPOINTS + path, follow_redirects=False)
            said = assert_problem(refused, 503, "model-behind")
            assert "version 3" in said["detail"]
            assert refused.headers["Retry-After"]
        assert client.get("/v1/models/digits").status_code == 200
        assert client_for(older, None).get(CHECKPOINTS).status_code == 401
        unknown = client.get("/v1/models/nobody/checkpoints")
        assert_problem(unknown, 404, "unknown-model")

        with caplog.at_level(logging.INFO):
            make_up(again)
        assert "person-" not in caplog.text
        assert not behind(again, journal)
        assert [request.item_count for request in replays(again)] == [len(digits.of_label(4)), 7]
        assert audit_events(again.database).count("publication.replayed") == 2
        # Both at once, so it is version 2; the weights are those of the same set of samples.
        assert (
            client.get(f"{CHECKPOINTS}/latest", follow_redirects=False)
            .headers["Location"]
            .endswith("/2")
        )
        assert client.get(f"{CHECKPOINTS}/2/file").content == head
        keep_journal(again.database, journal)
        assert files(again) == [
            "0000000002.published",
            "earlier/0000000000.published",
            "earlier/0000000001.published",
            "replayed/0000000002.published",
            "replayed/0000000003.published",
        ]


def test_what_an_older_policy_forbids_is_asked_for_again_once_it_is_allowed(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    allow(story, 0.12)
    story.forget(digits.of_label(3))
    older = copy_database(story, servers)
    allow(story, 0.5)
    story.forget(digits.of_label(4))
    keep_journal(story.database, journal)
    with set_back_to(older) as again:
        for _ in range(2):
            make_up(again)
            assert [request.state for request in replays(again)] == [RequestState.SETTLED]
            assert behind(again, journal)
        allow(again, 0.5)
        make_up(again)
        assert not behind(again, journal)
        assert len(replays(again)) == 2


def allow(story: Story, share: float) -> None:
    """Change how much may be forgotten."""
    with story.database.transaction() as session:
        change_policy(session, "digits", {"gate": {"max_forgotten_share": share}}, "admin")


def test_however_often_and_by_however_many_it_is_asked_for_it_is_one_request(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    with set_back_to(older) as again:
        with ThreadPoolExecutor(3) as pool:
            asked = list(pool.map(lambda _: keep_journal(again.database, journal), range(6)))
        assert sum(len(models) for models in asked) == 1
        [request] = replays(again)
        assert request.state is RequestState.PENDING
        assert behind(again, journal)
        make_up(again)
        assert not behind(again, journal)


def test_what_is_published_meanwhile_does_not_hide_what_was_lost(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    keep_journal(story.database, journal)
    with set_back_to(older) as again:
        again.forget(digits.of_label(4))
        again.forget(digits.of_label(5))
        assert again.model().head_version == 2
        assert behind(again, journal)
        make_up(again)
        assert not behind(again, journal)
        assert again.model().head_version == 3


def taken_over(story: Story) -> None:
    """A steward has found that the run's worker is gone."""
    expire(story)
    assert take_over_expired(stewardship(story)) == 1
    assert story.runs()[-1].state is RunState.ABANDONED


def test_a_publication_that_is_lost_together_with_the_end_of_its_run_is_found_out(
    story: Story,
    journal: Journal,
    digits: Digits,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = story.post(digits.of_label(3))
    run = claimed(story, story.resources)
    older = copy_database(story, servers)
    # It publishes, and dies before it can say so in the journal.
    monkeypatch.setattr(Journal, "confirm", lambda *_: die())
    with pytest.raises(Died):
        unlearn(run, story.resources)
    monkeypatch.undo()
    assert story.model().head_version == 1
    with set_back_to(older) as again:
        keep_journal(again.database, journal)
        # For all that is known here, the run may still publish.
        assert "0000000001.prepared" in files(again)
        taken_over(again)
        keep_journal(again.database, journal)
        assert behind(again, journal)
        make_up(again)
        assert not behind(again, journal)
        assert [each.state for each in replays(again)] == [RequestState.SETTLED]
        assert outcomes(again.database, request) == {Outcome.FORGOTTEN: len(digits.of_label(3))}


def test_a_worker_that_died_before_its_commit_leaves_nothing_to_make_up_for(
    story: Story, journal: Journal, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.post(digits.of_label(3))
    publish_until(story, monkeypatch, Failpoint.PUBLISH_BEFORE_COMMIT, die)
    assert "0000000001.prepared" in files(story)
    taken_over(story)
    keep_journal(story.database, journal)
    assert files(story) == ["0000000000.published"]
    assert not behind(story, journal)
    make_up(story)
    assert story.model().head_version == 1
    assert replays(story) == []


def test_a_worker_that_had_to_stop_before_its_commit_leaves_nothing_to_make_up_for(
    story: Story, journal: Journal, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        raise WorkerStopping("It has to.")

    story.post(digits.of_label(3))
    publish_until(story, monkeypatch, Failpoint.PUBLISH_BEFORE_COMMIT, stop)
    assert [run.state for run in story.runs()] == [RunState.ABANDONED]
    assert "0000000001.prepared" in files(story)
    keep_journal(story.database, journal)
    assert files(story) == ["0000000000.published"]
    assert not behind(story, journal)


def test_a_publication_that_never_was_is_made_up_for_if_that_is_not_known_and_comes_to_an_end(
    story: Story, journal: Journal, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = story.post(digits.of_label(3))
    publish_until(story, monkeypatch, Failpoint.PUBLISH_BEFORE_COMMIT, die)
    # As if the database had been away for the moment in which this was to be written.
    with story.database.transaction() as session:
        session.execute(update(UnlearningRun).values(phase=Phase.STORE))
    taken_over(story)
    keep_journal(story.database, journal)
    assert behind(story, journal)
    make_up(story)
    assert not behind(story, journal)
    assert story.model().head_version == 1
    assert [each.state for each in replays(story)] == [RequestState.SETTLED]
    assert outcomes(story.database, request) == {Outcome.FORGOTTEN: len(digits.of_label(3))}
    keep_journal(story.database, journal)
    assert not behind(story, journal)
    assert len(replays(story)) == 1


@pytest.mark.parametrize("in_time", [True, False])
def test_a_worker_that_died_after_its_commit_leaves_nothing_out(
    story: Story, journal: Journal, digits: Digits, servers: Servers, in_time: bool
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    [published] = folder(story).glob("0000000001-*")
    published.rename(published.with_suffix(".prepared"))
    if in_time:
        keep_journal(story.database, journal)
        assert "0000000001.published" in files(story)
    with set_back_to(older) as again:
        make_up(again)
        assert not behind(again, journal)
        assert [request.state for request in replays(again)] == [RequestState.SETTLED]


def test_a_publication_that_was_never_committed_is_discarded_when_its_run_has_ended(
    story: Story, journal: Journal, digits: Digits
) -> None:
    story.post(digits.of_label(3))
    run = claimed(story, story.resources)
    journal.prepare("digits", Entry(1, run.id), digits.of_label(3))
    keep_journal(story.database, journal)
    assert "0000000001.prepared" in files(story)
    give_up(run, story.resources, Failure("io-error", "x"), {}, None)
    keep_journal(story.database, journal)
    assert files(story) == ["0000000000.published"]
    assert not behind(story, journal)


def test_samples_that_cannot_be_forgotten_again_keep_it_from_being_served(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    with set_back_to(older) as again:
        keep_journal(again.database, journal)
        _settle_all(again, Outcome.FAILED)
        keep_journal(again.database, journal)
        assert behind(again, journal)
        # Whoever has got the images back asks for them as for any others.
        again.forget(digits.of_label(3))
        keep_journal(again.database, journal)
        assert not behind(again, journal)


def test_what_a_person_has_rejected_is_not_waited_for(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    with set_back_to(older) as again:
        keep_journal(again.database, journal)
        _settle_all(again, Outcome.REJECTED)
        keep_journal(again.database, journal)
        assert not behind(again, journal)


def test_a_request_that_makes_up_for_what_was_lost_cannot_be_withdrawn(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    with set_back_to(older) as again:
        keep_journal(again.database, journal)
        (request,) = replays(again)
        with client_for(again.resources.settings) as client:
            answer = client.delete(f"/v1/deletion-requests/{request.id}")
            assert_problem(answer, 409, "request-not-pending")
        make_up(again)
        assert not behind(again, journal)


@pytest.mark.parametrize("damage", ["not JSON", "another sample", "of an earlier form"])
def test_a_damaged_record_is_not_taken_for_what_to_forget(
    story: Story, journal: Journal, digits: Digits, servers: Servers, damage: str
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3)[:4])
    [record] = folder(story).glob("0000000001-*")
    whole = record.read_bytes()
    if damage == "not JSON":
        record.write_bytes(whole[:-9])
    elif damage == "another sample":
        record.write_bytes(whole.replace(digits.of_label(3)[0].encode(), b"person-9999"))
    else:
        record.write_bytes(json.dumps({"samples": digits.of_label(3)[:4]}).encode())
    with set_back_to(older) as again:
        # It is not served, and no other model is the worse for it.
        assert keep_journal(again.database, journal) == []
        assert behind(again, journal)
        assert replays(again) == []
        record.write_bytes(whole)
        make_up(again)
        assert not behind(again, journal)


def test_a_file_that_the_journal_does_not_know_by_its_name_is_named_and_harms_no_other_model(
    story: Story, journal: Journal, digits: Digits, caplog: pytest.LogCaptureFixture
) -> None:
    story.forget(digits.of_label(3)[:4])
    [record] = folder(story).glob("0000000001-*")
    stray = record.with_stem(f"{record.stem} (copy)")
    stray.write_bytes(record.read_bytes())
    assert keep_journal(story.database, journal) == []
    assert f"{stray.name} lies in the journal of 'digits'" in caplog.text
    with pytest.raises(ArtifactDamaged, match="Move it out of there"):
        behind(story, journal)
    stray.unlink()
    assert not behind(story, journal)


def _settle_all(story: Story, outcome: Outcome) -> None:
    with story.database.transaction() as session:
        session.execute(update(DeletionItem).values(outcome=outcome, settled_at=func.now()))
        session.execute(update(DeletionRequest).values(state=RequestState.SETTLED))


def test_a_model_that_was_lost_and_enrolled_again_forgets_what_it_had(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    story.forget(digits.of_label(3))
    head = story.path(1).read_bytes()
    keep_journal(story.database, journal)
    new = story.resources.settings.model_copy(update={"database_url": servers.database("migrated")})
    with set_back_to(new) as again:
        enrol_model(again.resources, digits.enrolment)
        assert behind(again, journal)
        make_up(again)
        assert not behind(again, journal)
        assert again.path(1).read_bytes() == head


def test_nothing_is_collected_while_the_database_is_behind(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3))
    empty = older.model_copy(update={"database_url": servers.database("migrated")})
    orphan = put(story)
    make_old(path_of(story, orphan))
    for path in (path for shelf in SHELVES for path in _shelf(story, shelf).glob("*")):
        make_old(path)
    for settings in (older, empty):
        with set_back_to(settings) as again:
            with again.database.reading() as session:
                assert not is_current(session, journal)
            assert collect(again) == 0
    with set_back_to(older) as again:
        make_up(again)
        assert collect(again) == 1


def _shelf(story: Story, shelf: str) -> Path:
    return story.path(0).parents[1] / shelf


def test_a_journal_that_is_new_gets_what_the_database_has(
    story: Story, journal: Journal, digits: Digits
) -> None:
    story.forget(digits.of_label(3))
    story.forget(digits.of_label(4)[:5])
    entries = [Entry(row.version, row.run_id) for row in story.checkpoints()[1:]]
    written = [sorted(journal.samples("digits", entry)) for entry in entries]
    folder(story).rename(folder(story).with_name("away"))
    away = folder(story).with_name("away")
    keep_journal(story.database, journal)
    assert [sorted(journal.samples("digits", entry)) for entry in entries] == written
    assert not behind(story, journal)
    assert away.is_dir()


def test_the_audit_log_says_how_many_and_not_which(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    story.forget(digits.of_label(3)[:4])
    with set_back_to(older) as again:
        keep_journal(again.database, journal)
        with again.database.reading() as session:
            row = session.scalars(
                select(AuditRecord).where(AuditRecord.event == "publication.replayed")
            ).one()
        assert row.actor == "restore"
        assert row.details["counts"] == {"pending": 4}
        assert "person-" not in str(row.details)


def test_without_a_journal_nothing_is_behind(story: Story, journal: Journal) -> None:
    assert journal.models() == []
    assert not behind(story, journal)


def test_a_journal_that_cannot_be_written_fails_the_run_which_rests_and_publishes_nothing(
    story: Story, journal: Journal, digits: Digits, enrolled: Settings
) -> None:
    root = folder(story).parent
    root.write_bytes(b"not a folder")
    request = story.post(digits.of_label(3))
    # It would be tried again for ever, as it should: somebody has to mend the disk.
    work(enrolled.model_copy(update={"retry_s": 60}))
    assert story.model().head_version == 0
    assert [run.failure["kind"] for run in story.runs()] == ["io-error"]
    assert list(outcomes(story.database, request)) == [Outcome.PENDING]
    root.unlink()
