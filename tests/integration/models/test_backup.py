"""Backups: complete, consistent, checked before they are used, and what came after them."""

import json
import threading
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, func, inspect, make_url, select, text

from models.artifacts import Artifact
from models.artifacts.filesystem import FilesystemStore
from models.audit.append import append
from models.audit.events import Event
from models.audit.following import complete_to
from models.backup import make_backup, restore_backup, restore_files, restoring
from models.backup.manifest import NAME, read_manifest, write_manifest
from models.backup.tables import _write_table
from models.database import Database, alembic_config, check_schema
from models.errors import BackupUnderWay, BackupUnusable, DatabaseNotEmpty
from models.failpoints import Failpoint
from models.journal import Journal, is_current, keep_journal, open_journal
from models.records import AuditRecord, Base, Lease, Outcome
from models.references import find_referenced
from models.scrubbing import scrub_everything
from models.settings import Settings
from tests.conftest import Digits, Servers, client_for, enrol_model
from tests.integration.app.support import CHECKPOINTS, assert_problem
from tests.integration.models.conftest import die, make_up, publish_until, set_back_to
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.test_steward import stewardship
from tests.integration.workers.transactions.test_claims import lease
from workers.duties.recovering import take_over_expired
from workers.recompute import recompute


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def empty(servers: Servers, enrolled: Settings) -> Settings:
    """A database without any tables, and an empty store."""
    return without_tables(servers, enrolled)


def without_tables(servers: Servers, settings: Settings) -> Settings:
    """The settings on another such database and store."""
    url = servers.database("template0")
    name = make_url(url).database
    assert name is not None
    store = servers.store(name).as_uri()
    return settings.model_copy(update={"database_url": url, "artifact_store_url": store})


def back_up(story: Story, folder: Path) -> int:
    return make_backup(story.database, story.resources.store, folder).copied


def restored(settings: Settings, folder: Path):
    from models.artifacts import open_store

    database = Database(settings.database_url, pool_size=2)
    journal = open_journal(settings.artifact_store_url)
    try:
        return restore_backup(database, open_store(settings.artifact_store_url), journal, folder)
    finally:
        database.close()


def rows(database_url: str) -> dict[str, list[str]]:
    """Everything in the database, but what restoring itself adds or changes."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        found = {
            name: sorted(
                str(tuple(row))
                for row in connection.execute(text(f"SELECT * FROM {name}"))
                if "database.restored" not in str(tuple(row))
            )
            for name in Base.metadata.tables
            if name != "lease"
        }
    engine.dispose()
    return found


def tables(database_url: str) -> list[str]:
    engine = create_engine(database_url)
    found = inspect(engine).get_table_names()
    engine.dispose()
    return found


def test_a_disaster_from_end_to_end(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    story.forget(digits.of_label(3))
    back_up(story, folder)
    story.forget(digits.of_label(4))
    keep_journal(story.database, open_journal(story.resources.settings.artifact_store_url))
    head = story.path(2).read_bytes()

    # The database is lost, the store is not.
    new = story.resources.settings.model_copy(update={"database_url": empty.database_url})
    found = restored(new, folder)
    assert found.replayed == ["digits"]
    assert not found.current
    with set_back_to(new) as again, client_for(new) as client:
        assert_problem(client.get(f"{CHECKPOINTS}/latest"), 503, "model-behind")
        make_up(again)
        served = client.get(f"{CHECKPOINTS}/latest/file")
        assert served.status_code == 200
        assert served.content == head
        came = recompute("digits", again.resources)
        assert came.found == came.published


def test_a_restored_service_is_the_one_that_was_backed_up(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    request_id = story.forget([*digits.of_label(3), "nobody"]).id
    made = make_backup(story.database, story.resources.store, folder)
    assert made.damaged == []
    before = rows(story.resources.settings.database_url)
    found = restored(empty, folder)
    assert found.current
    assert found.copied == len(made.manifest.artifacts) == 5
    assert rows(empty.database_url) == before
    with set_back_to(empty) as again:
        assert again.path(1).read_bytes() == story.path(1).read_bytes()
        assert outcomes(again.database, request_id)[Outcome.UNKNOWN] == 1
        # What is counted goes on where it was.
        assert audit_events(again.database)[-1] == "database.restored"
        again.forget(digits.of_label(4)[:5])
        assert again.model().head_version == 2
        with again.database.reading() as session:
            numbers = list(session.scalars(select(AuditRecord.sequence)))
        assert len(set(numbers)) == len(numbers)


def test_no_worker_of_the_lost_database_can_write_to_the_restored_one(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    story.forget(digits.of_label(3)[:3])
    back_up(story, folder)
    with story.database.reading() as session:
        before = session.scalars(select(Lease.epoch)).one()
    restored(empty, folder)
    with set_back_to(empty) as again, again.database.reading() as session:
        lease = session.scalars(select(Lease)).one()
    assert lease.epoch > before + 1_000_000
    assert lease.holder is None


def test_whoever_has_followed_the_lost_audit_log_misses_nothing_of_the_restored_one(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    back_up(story, folder)
    story.forget(digits.of_label(3)[:3])
    with client_for(story.resources.settings) as client:
        followed = client.get("/v1/audit/records?limit=1000").json()["next"]
    restored(empty, folder)
    with client_for(empty) as client:
        (record,) = client.get(f"/v1/audit/records?cursor={followed}").json()["records"]
    assert record["event"] == "database.restored"


def test_a_publication_in_whose_midst_the_backup_was_made_is_asked_for_again(
    story: Story,
    digits: Digits,
    folder: Path,
    empty: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = story.resources.settings
    story.post(digits.of_label(3))

    def back_up_and_die_after_the_commit() -> None:
        back_up(story, folder)
        monkeypatch.setattr(Journal, "confirm", lambda *_: die())

    step = Failpoint.PUBLISH_BEFORE_COMMIT
    publish_until(story, monkeypatch, step, back_up_and_die_after_the_commit)
    assert story.model().head_version == 1
    new = settings.model_copy(update={"database_url": empty.database_url})
    found = restored(new, folder)
    assert found.replayed == ["digits"]
    assert not found.current
    with set_back_to(new) as again:
        assert take_over_expired(stewardship(again)) == 1
        make_up(again)
        with again.database.reading() as session:
            assert is_current(session, open_journal(settings.artifact_store_url))


def test_what_is_counted_goes_on_from_elsewhere_each_time_that_a_backup_is_restored(
    story: Story, digits: Digits, folder: Path, empty: Settings, servers: Servers
) -> None:
    story.forget(digits.of_label(3)[:3])
    back_up(story, folder)
    restored(empty, folder)
    with set_back_to(empty) as first, client_for(empty) as client:
        first.forget(digits.of_label(4)[:3])
        held = lease(first).epoch
        followed = client.get("/v1/audit/records?limit=1000").json()["next"]

    once_more = without_tables(servers, empty)
    restored(once_more, folder)
    with set_back_to(once_more) as second, client_for(once_more) as client:
        assert lease(second).epoch > held
        second.post(["person-1"])
        records = client.get(f"/v1/audit/records?cursor={followed}").json()["records"]
        assert [record["event"] for record in records] == ["database.restored", "request.accepted"]


@pytest.mark.parametrize("years", [-60, 0, 500])
def test_whatever_the_clock_says_what_is_counted_goes_on_and_can_be_announced(
    story: Story,
    folder: Path,
    empty: Settings,
    monkeypatch: pytest.MonkeyPatch,
    years: int,
) -> None:
    back_up(story, folder)
    with story.database.reading() as session:
        last = session.scalars(select(func.max(AuditRecord.sequence))).one()
    monkeypatch.setattr(restoring, "NOW", f"{restoring.NOW} + {years * 31557600}")
    restored(empty, folder)
    with set_back_to(empty) as again, again.database.transaction() as session:
        again_last = session.scalars(select(func.max(AuditRecord.sequence))).one()
        assert last < again_last < 1 << 48
        append(session, Event.POLICY_CHANGED, actor="somebody")
        session.flush()
        # It is announced as coming after the last one, and nothing is held up by anything else.
        assert complete_to(session) == again_last


def test_another_backup_copies_what_is_new_and_drops_what_is_not_needed(
    story: Story, digits: Digits, folder: Path
) -> None:
    story.forget(digits.of_label(3)[:20])
    assert back_up(story, folder) == 5
    assert back_up(story, folder) == 0
    story.forget(digits.of_label(3)[20:])
    # A version, and the sums of the label, which replace the ones before.
    assert back_up(story, folder) == 2
    with story.database.reading() as session:
        needed = {artifact.sha256 for artifact in find_referenced(session)}
    assert {path.name for path in folder.glob("artifacts/sha256/*/*")} == needed
    assert len(list(folder.glob("tables-*"))) == 1
    # It holds sample IDs and weights: nobody else looks into it.
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *files))


def test_a_backup_repairs_what_is_damaged_in_it_and_leaves_out_what_is_damaged_in_the_store(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    back_up(story, folder)
    [kept, *_] = folder.glob("artifacts/sha256/*/*")
    kept.write_bytes(b"damaged")
    assert back_up(story, folder) == 1

    story.forget(digits.of_label(3))
    story.path(0).write_bytes(b"damaged after it was backed up")
    story.path(1).write_bytes(b"damaged before")
    made = make_backup(story.database, story.resources.store, folder)
    assert made.damaged == [story.checkpoints()[1].sha256]

    # Everything else can be restored, and the damage is seen.
    restored(empty, folder)
    with set_back_to(empty) as again:
        held = again.resources
        faults = [each for each in scrub_everything(held.database, held.store, "t") if each.fault]
    assert [each.artifact.sha256 for each in faults] == made.damaged


def test_what_a_dying_disk_does_not_give_is_left_out_of_a_backup_and_all_else_is_in_it(
    story: Story, folder: Path
) -> None:
    unread = story.checkpoints()[0].sha256

    class Dying(FilesystemStore):
        def sized_path(self, artifact: Artifact) -> Path:
            # The system answers to whoever reads that from its beginning: input/output error.
            path = super().sized_path(artifact)
            return Path("/proc/self/mem") if artifact.sha256 == unread else path

    store = Dying.from_url(story.resources.settings.artifact_store_url)
    made = make_backup(story.database, store, folder)
    assert made.damaged == [unread]
    with story.database.reading() as session:
        others = {artifact.sha256 for artifact in find_referenced(session)} - {unread}
    assert {path.name for path in folder.glob("artifacts/sha256/*/*")} == others


def test_an_artifact_that_holds_the_bytes_of_another_takes_no_good_copy_along(
    story: Story, digits: Digits, folder: Path
) -> None:
    story.forget(digits.of_label(3))
    back_up(story, folder)
    copies = {path.name for path in folder.glob("artifacts/sha256/*/*")}
    base, head = story.checkpoints()
    assert {base.sha256, head.sha256} <= copies
    story.path(0).write_bytes(story.path(1).read_bytes())
    [gone] = folder.glob(f"artifacts/sha256/*/{base.sha256}")
    gone.unlink()
    made = make_backup(story.database, story.resources.store, folder)
    assert made.damaged == [base.sha256]
    assert {path.name for path in folder.glob("artifacts/sha256/*/*")} == copies - {base.sha256}


def test_damaged_artifacts_are_put_back_from_a_backup_and_their_faults_cleared(
    story: Story, folder: Path
) -> None:
    back_up(story, folder)
    held = story.resources
    path, content = story.path(0), story.path(0).read_bytes()
    path.write_bytes(content[:100])
    assert [e.fault for e in scrub_everything(held.database, held.store, "t") if e.fault]
    assert restore_files(held.store, folder) == 1
    assert path.read_bytes() == content
    assert not [e.fault for e in scrub_everything(held.database, held.store, "t") if e.fault]


def test_a_backup_is_of_one_moment_while_the_service_runs(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    stop = threading.Event()
    made: list[int] = []

    def back_up_again_and_again() -> None:
        while not stop.is_set():
            made.append(back_up(story, folder))

    thread = threading.Thread(target=back_up_again_and_again)
    thread.start()
    for label in (3, 4, 5):
        story.forget(digits.of_label(label)[:10])
    stop.set()
    thread.join()
    assert made
    restored(empty, folder)
    with set_back_to(empty) as again:
        held = again.resources
        assert not [e for e in scrub_everything(held.database, held.store, "t") if e.fault]
        head = again.model().head_version
        assert head == len(again.checkpoints()) - 1
        assert audit_events(again.database).count("checkpoint.published") == head


def test_two_backups_into_one_folder_at_once_are_refused(story: Story, folder: Path) -> None:
    from models.backup.making import _alone

    back_up(story, folder)
    with _alone(folder), pytest.raises(BackupUnderWay):
        back_up(story, folder)


@pytest.mark.parametrize("part", ["manifest", "table", "artifact"])
@pytest.mark.parametrize("how", ["flipped", "shorter", "missing"])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    story: Story, folder: Path, empty: Settings, part: str, how: str
) -> None:
    back_up(story, folder)
    path = {
        "manifest": folder / NAME,
        "table": next(folder.glob("tables-*/sample")),
        "artifact": next(folder.glob("artifacts/sha256/*/*")),
    }[part]
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "shorter":
        path.write_bytes(content[:-20])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(BackupUnusable) as refused:
        restored(empty, folder)
    assert "person-" not in str(refused.value)
    assert tables(empty.database_url) == []


def test_a_backup_that_was_cut_short_is_none_and_leaves_the_one_before(
    story: Story, folder: Path, empty: Settings, tmp_path: Path
) -> None:
    back_up(story, folder)
    manifest = (folder / NAME).read_bytes()
    (folder / NAME).unlink()
    with pytest.raises(BackupUnusable, match="no complete backup"):
        restored(empty, folder)
    (folder / NAME).write_bytes(manifest)
    # As one that died in the middle leaves it.
    (folder / "tables-half").mkdir()
    (folder / "tables-half" / "sample").write_bytes(b"half")
    assert restored(empty, folder).current
    back_up(story, folder)
    assert not (folder / "tables-half").exists()


def test_a_database_with_anything_in_it_is_not_restored_into(
    story: Story, folder: Path, servers: Servers, empty: Settings
) -> None:
    back_up(story, folder)
    with pytest.raises(DatabaseNotEmpty, match="registered_model"):
        restored(story.resources.settings, folder)
    foreign = Database(empty.database_url)
    with foreign.transaction() as session:
        session.execute(text("CREATE TABLE somebody_elses (n int)"))
    foreign.close()
    with pytest.raises(DatabaseNotEmpty, match="somebody_elses"):
        restored(empty, folder)
    migrated = empty.model_copy(update={"database_url": servers.database("migrated")})
    assert restored(migrated, folder).current


def test_a_database_that_is_away_and_a_schema_of_tomorrow_are_named(
    story: Story, folder: Path, empty: Settings
) -> None:
    back_up(story, folder)
    nowhere = "postgresql+psycopg://nobody:secret-word@127.0.0.1:1/nothing"
    with pytest.raises(BackupUnusable, match="cannot be reached") as refused:
        restored(empty.model_copy(update={"database_url": nowhere}), folder)
    assert "secret-word" not in str(refused.value)
    manifest = read_manifest(folder)
    write_manifest(manifest.model_copy(update={"revision": "9999"}), folder)
    with pytest.raises(BackupUnusable, match="9999"):
        restored(empty, folder)
    assert json.loads((folder / NAME).read_text())["manifest"]["revision"] == "9999"


def test_a_model_that_was_enrolled_after_the_backup_is_named(
    story: Story, digits: Digits, folder: Path, empty: Settings
) -> None:
    back_up(story, folder)
    enrol_model(story.resources, digits.enrolment.model_copy(update={"name": "second"}))
    keep_journal(story.database, open_journal(story.resources.settings.artifact_store_url))
    new = story.resources.settings.model_copy(update={"database_url": empty.database_url})
    found = restored(new, folder)
    assert (found.replayed, found.lost) == ([], ["second"])


def test_a_backup_of_an_older_schema_is_restored_as_it_was_and_brought_up_to_date(
    story: Story, servers: Servers, folder: Path, empty: Settings
) -> None:
    back_up(story, folder)
    older = servers.database("template0")
    command.upgrade(alembic_config(older), "0002")
    manifest = read_manifest(folder)
    engine = create_engine(older)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO audit_record (event, actor, details) VALUES ('a', 'b', '{}')")
        )
        columns = {
            name: [column["name"] for column in inspect(connection).get_columns(name)]
            for name in inspect(connection).get_table_names()
        }
        (folder / "tables-older").mkdir()
        written = [
            _write_table(connection, table.name, columns[table.name], folder / "tables-older")
            for table in manifest.tables
            if table.name in columns
        ]
    engine.dispose()
    changed = {"revision": "0002", "folder": "tables-older", "tables": written, "artifacts": []}
    write_manifest(manifest.model_copy(update=changed), folder)

    migrated = empty.model_copy(update={"database_url": servers.database("migrated")})
    with pytest.raises(DatabaseNotEmpty, match="0002"):
        restored(migrated, folder)
    restored(empty, folder)
    database = Database(empty.database_url)
    check_schema(database)
    assert audit_events(database) == ["a", "database.restored"]
    database.close()
