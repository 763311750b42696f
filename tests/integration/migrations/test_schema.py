"""The migrated schema is the records' schema, as PostgreSQL itself describes both."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from models.audit.append import append
from models.audit.events import Event
from models.database import Database, alembic_config, check_schema, migrate
from models.errors import SchemaOutOfDate
from models.records import Base, UnlearningRun
from tests.conftest import Servers
from tests.support.reports import make_report, standing

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attcollation
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
  AND c.relname <> 'alembic_version' AND a.attnum > 0 AND NOT a.attisdropped
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
"""
INDEXES = """
SELECT indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relnamespace = 'public'::regnamespace AND indrelid::regclass::text <> 'alembic_version'
"""
LEFT_OVER = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%'
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _rows(url: str, query: str) -> list[str]:
    with _connected(url) as connection:
        return sorted(str(tuple(row)) for row in connection.execute(text(query)))


@pytest.fixture
def migrated(servers: Servers) -> str:
    return servers.database("migrated")


@pytest.fixture
def empty(servers: Servers) -> str:
    return servers.database("template0")


@pytest.fixture
def created(empty: str) -> str:
    with _connected(empty) as connection:
        Base.metadata.create_all(connection)
    return empty


@pytest.mark.parametrize("query", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "cons", "index"])
def test_the_migrated_schema_equals_the_records(migrated: str, created: str, query: str) -> None:
    found = _rows(migrated, query)
    assert len(found) >= len(Base.metadata.tables)
    assert found == _rows(created, query)


def test_alembic_too_sees_no_difference(migrated: str) -> None:
    command.check(alembic_config(migrated))


def test_migrating_twice_is_migrating_once(empty: str) -> None:
    migrate(empty)
    migrate(empty)
    database = Database(empty)
    assert check_schema(database)
    database.close()


BEFORE = """
INSERT INTO registered_model (id, name, state, specification, policy)
VALUES (gen_random_uuid(), 'faces', 'enrolling', '{}', '{}');
INSERT INTO deletion_request (id, model_id, state, mode, principal, body_digest, item_count,
                              duplicate_count, accepted_counts, cancel_requested_at)
SELECT gen_random_uuid(), id, 'pending', 'delete', 'pipeline', 'digest', 1, 0, '{}', now()
FROM registered_model;
INSERT INTO unlearning_run (id, model_id, mode, state, phase, epoch, worker, attempt, item_count,
                            parent_version, timings, verdict)
SELECT gen_random_uuid(), id, 'delete', 'published', 'publish', 1, 'worker', 1, 1, 0, '{}',
       '{"cohorts": [{"name": "label 1", "expectation": {"positions": [4], "share": 0.5}},
                     {"name": "label 2", "expectation": null}]}'
FROM registered_model;
"""


def test_what_was_on_record_before_can_be_read_afterwards(empty: str) -> None:
    command.upgrade(alembic_config(empty), "0003")
    with _connected(empty) as connection:
        connection.exec_driver_sql(BEFORE)
    migrate(empty)
    with _connected(empty) as connection:
        asked = connection.scalar(text("SELECT cancel_requested_by FROM deletion_request"))
        cohorts = connection.scalar(text("SELECT verdict -> 'cohorts' FROM unlearning_run"))
    assert asked == "pipeline"
    assert [cohort["expectation"] for cohort in cohorts] == [
        {"positions": [4], "share": 0.5, "of_kind": True},
        None,
    ]


def test_a_verdict_that_did_not_say_everything_is_read_afterwards(empty: str) -> None:
    verdict = make_report(cohorts=2)["verdict"]
    for name in ("asked", "parted", "holdout_excused"):
        del verdict[name]
    verdict["pool"] = {"cohorts": [], "base": standing(0.6), "candidate": standing(0.5)}
    verdict["damage_budget"]["spent"] = 0.02
    del verdict["damage_budget"]["retraining_advised"]
    for cohort in verdict["cohorts"]:
        for name in ("expectation", "last_layer_restored", "gives_away"):
            del cohort[name]
    for rung in verdict["ladder"]:
        for name in ("given_back", "pool", "last_layer_restored", "at_a_glance"):
            del rung[name]
        for name in ("retained", "holdout_of_retained_labels", "worst_label"):
            del rung[name]["fall"]
    command.upgrade(alembic_config(empty), "0005")
    with _connected(empty) as connection:
        connection.exec_driver_sql(BEFORE.replace("cancel_requested_at", "settled_at"))
        connection.execute(
            text("UPDATE unlearning_run SET verdict = cast(:verdict AS jsonb)"),
            {"verdict": json.dumps(verdict)},
        )
    migrate(empty)
    database = Database(empty)
    with database.reading() as session:
        found = session.scalars(select(UnlearningRun)).one().verdict
    database.close()
    assert found is not None
    assert found.damage_budget.retraining_advised
    assert found.pool is not None
    assert not found.pool.forgotten
    assert [cohort.gives_away for cohort in found.cohorts] == [False, False]
    assert found.taken.given_back == []
    assert not found.taken.at_a_glance
    assert found.taken.retained is not None
    assert found.taken.retained.fall.value == pytest.approx(0.99 - 0.97)


def test_rungs_stay_in_order_when_they_are_told_that_they_were_judged_whole(empty: str) -> None:
    ladder = "SELECT verdict -> 'ladder' FROM unlearning_run"
    command.upgrade(alembic_config(empty), "0010")
    with _connected(empty) as connection:
        connection.exec_driver_sql(BEFORE.replace("cancel_requested_at", "settled_at"))
        rungs = ", ".join(f'{{"distance": {distance}}}' for distance in (3, 1, 2))
        connection.exec_driver_sql(
            f"""UPDATE unlearning_run SET verdict = '{{"ladder": [{rungs}]}}'"""
        )
        before = connection.scalar(text(ladder))
    command.upgrade(alembic_config(empty), "0011")
    with _connected(empty) as connection:
        after = connection.scalar(text(ladder))
    assert after == [{**rung, "at_a_glance": False} for rung in before]
    command.downgrade(alembic_config(empty), "0010")
    with _connected(empty) as connection:
        assert connection.scalar(text(ladder)) == before


def test_going_back_leaves_nothing(migrated: str) -> None:
    command.downgrade(alembic_config(migrated), "base")
    assert _rows(migrated, LEFT_OVER) == []
    migrate(migrated)


def test_a_schema_of_another_time_is_named(empty: str) -> None:
    database = Database(empty)
    with pytest.raises(SchemaOutOfDate, match=r"schema none.*expunge migrate"):
        check_schema(database)
    database.close()


REFUSED = [
    "UPDATE audit_record SET actor = 'nobody'",
    "DELETE FROM audit_record",
    "TRUNCATE audit_record",
    "TRUNCATE registered_model CASCADE",
    "INSERT INTO audit_record (sequence, event, actor, details) OVERRIDING SYSTEM VALUE "
    "VALUES (1, 'x', 'x', '{}') ON CONFLICT (sequence) DO UPDATE SET actor = 'nobody'",
    "MERGE INTO audit_record a USING (SELECT 1) b ON true WHEN MATCHED THEN DELETE",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_to_change_audit_records(database: Database, statement: str) -> None:
    with database.transaction() as session:
        append(session, Event.ENROLMENT_REQUESTED, actor="somebody")
    with pytest.raises(DBAPIError), database.transaction() as session:
        session.execute(text(statement))
    with database.reading() as session:
        kept = session.execute(text("SELECT event, actor FROM audit_record")).all()
    assert [tuple(row) for row in kept] == [("enrolment.requested", "somebody")]


def test_an_audit_record_can_be_added(database: Database) -> None:
    with database.transaction() as session:
        append(session, Event.ENROLMENT_REQUESTED, actor="somebody", details={"count": 1})
        append(session, Event.ENROLMENT_FAILED, actor="somebody")
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM audit_record")) == 2


def test_a_reading_session_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match="read-only"), database.reading() as session:
        session.execute(text("CREATE TABLE written (n int)"))


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        _append_and_fail(database)
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM audit_record")) == 0


def _append_and_fail(database: Database) -> None:
    with database.transaction() as session:
        append(session, Event.ENROLMENT_REQUESTED, actor="somebody")
        session.flush()
        raise ZeroDivisionError


SUMS_OF_A_LABEL = """
INSERT INTO registered_model (id, name, state, specification, policy)
VALUES (gen_random_uuid(), 'faces', 'enrolling', '{}', '{}');
INSERT INTO fisher_sums (id, model_id, kind, label, version, sample_count, provenance, sha256, size)
SELECT gen_random_uuid(), id, kind, label, 0, 1, '{}', repeat('0', 64), 1
FROM registered_model, (VALUES ('full', NULL), ('label', 3), ('forget', 3)) AS sums (kind, label);
"""


def test_going_back_before_sums_of_labels_removes_these_and_no_others(empty: str) -> None:
    command.upgrade(alembic_config(empty), "0007")
    before = _rows(empty, CONSTRAINTS)
    migrate(empty)
    with _connected(empty) as connection:
        connection.exec_driver_sql(SUMS_OF_A_LABEL)
    command.downgrade(alembic_config(empty), "0007")
    left = _rows(empty, "SELECT kind, label FROM fisher_sums")
    assert sorted(left) == ["('forget', 3)", "('full', None)"]
    assert _rows(empty, CONSTRAINTS) == before
