"""POST /v1/models/{model}/retire: the end of a registered model."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from app.intake import writing
from models.errors import ModelRetired, NothingToRecompute
from models.journal import Journal, is_current, keep_journal, open_journal
from models.records import Outcome, RunState
from models.references import find_referenced, find_uses
from models.settings import Settings
from tests.conftest import OTHER_KEY, PIPELINE_KEY, Digits, Servers, client_for, enrol_model, work
from tests.integration.app.support import (
    CHECKPOINTS,
    REQUESTS,
    assert_problem,
    enrolment,
    post,
    row_counts,
)
from tests.integration.models.conftest import copy_database, set_back_to
from tests.integration.workers.conftest import Story
from tests.integration.workers.duties.test_collecting import collect, make_old
from tests.integration.workers.queries import audit_events, outcomes
from tests.integration.workers.transactions.test_claims import claimed, lease
from tests.support.waiting import until
from workers.pipeline import unlearn
from workers.recompute import recompute
from workers.resources import open_resources
from workers.transactions.claims import claim

RETIRE = "/v1/models/digits/retire"


def test_a_retired_model_has_no_head_and_takes_and_serves_nothing(
    client: TestClient, story: Story, digits: Digits
) -> None:
    story.forget(digits.of_label(3))
    retired = client.post(RETIRE)
    assert retired.status_code == 200
    view = retired.json()
    assert (view["state"], view["head_version"]) == ("retired", None)
    assert view["retired_at"] is not None
    assert client.get("/v1/models/digits").json() == view

    before = row_counts(story.resources.settings)
    assert_problem(post(client, digits.of_label(4)[:2]), 410, "model-retired")
    assert_problem(post(client, digits.of_label(4)[:2], mode="dry_run"), 410, "model-retired")
    lines = "".join(f'"{name}"\n' for name in digits.of_label(4)[:2])
    bulk = client.post(
        REQUESTS,
        params={"model": "digits"},
        content=lines,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert_problem(bulk, 410, "model-retired")
    for path in ("latest", "latest/file", "0/file", "1/file"):
        answer = client.get(f"{CHECKPOINTS}/{path}", follow_redirects=False)
        assert_problem(answer, 410, "model-retired")
    patch = client.patch("/v1/models/digits/policy", json={"probe_size": 300})
    assert_problem(patch, 410, "model-retired")
    assert_problem(client.post("/v1/models", json=enrolment(digits, "digits")), 409, "model-exists")
    assert row_counts(story.resources.settings) == before


def test_what_is_on_record_of_a_retired_model_stays(
    client: TestClient, story: Story, digits: Digits
) -> None:
    request = story.forget(digits.of_label(3))
    [run] = story.runs()
    kept = (
        f"{REQUESTS}/{request.id}",
        f"/v1/runs/{run.id}",
        f"/v1/runs/{run.id}/report",
        f"/v1/models/digits/samples/{digits.of_label(3)[0]}",
    )
    before = [client.get(path).json() for path in kept]
    client.post(RETIRE)

    assert [client.get(path).json() for path in kept] == before
    listed = client.get(CHECKPOINTS).json()["checkpoints"]
    assert [each["version"] for each in listed] == [1, 0]
    assert all(each["withdrawn_at"] is not None for each in listed)
    assert audit_events(story.database)[-1] == "model.retired"


def test_whoever_waited_is_told_and_is_on_the_list_for_the_next_network(
    client: TestClient, story: Story, digits: Digits
) -> None:
    forgotten, waiting = digits.of_label(3), digits.of_label(5)[:4]
    story.forget(forgotten)
    request_id = story.post(waiting)
    assert claim(story.model().id, story.resources) is not None
    client.post(RETIRE)

    view = client.get(f"{REQUESTS}/{request_id}").json()
    assert view["status"] == "settled"
    assert view["counts"] == {"failed": len(waiting)}
    items = client.get(f"{REQUESTS}/{request_id}/items").json()["items"]
    assert {item["reason"] for item in items} == {
        "The network was retired before it had forgotten the sample."
    }
    assert story.runs()[-1].state is RunState.CANCELLED
    excluded = client.get("/v1/models/digits/exclusions").text
    assert all(f'"{name}"' in excluded for name in (*forgotten, *waiting))


def test_what_was_to_be_withdrawn_when_the_model_was_retired_is_withdrawn(
    client: TestClient, story: Story, digits: Digits
) -> None:
    request_id = story.post(digits.of_label(5)[:4])
    assert claim(story.model().id, story.resources) is not None
    assert client.delete(f"{REQUESTS}/{request_id}").status_code == 202
    client.post(RETIRE)

    assert client.get(f"{REQUESTS}/{request_id}").json()["status"] == "cancelled"
    assert outcomes(story.database, request_id) == {Outcome.CANCELLED: 4}
    assert digits.of_label(5)[0] not in client.get("/v1/models/digits/exclusions").text


def test_a_worker_that_was_at_it_publishes_nothing_any_more(
    client: TestClient, story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.post(digits.of_label(5)[:4])
    run = claimed(story, story.resources)
    assert client.post(RETIRE).status_code == 200
    assert lease(story).epoch > run.epoch
    unlearn(run, story.resources)
    assert [row.version for row in story.checkpoints()] == [0]
    assert story.runs()[-1].state is RunState.CANCELLED
    work(story.resources.settings)
    assert len(story.runs()) == 1


def test_its_files_are_collected_and_those_of_others_stay(
    client: TestClient, story: Story, digits: Digits
) -> None:
    client.post("/v1/models", json=enrolment(digits, "other"))
    work(story.resources.settings)
    story.forget(digits.of_label(3))
    paths = [path for path in _files(story) if path.name != "lock"]
    with story.database.reading() as session:
        shared = {artifact.sha256 for artifact in find_referenced(session)}
    client.post(RETIRE)
    with story.database.reading() as session:
        needed = {artifact.sha256 for artifact in find_referenced(session)}
        assert all("'digits'" not in use for uses in find_uses(session).values() for use in uses)
    assert needed < shared
    for path in paths:
        make_old(path)
    assert collect(story) == len(shared - needed) + len(paths) - len(shared)
    assert {path.name for path in _files(story)} == needed


def test_retiring_twice_is_retiring_once(client: TestClient, story: Story) -> None:
    first = client.post(RETIRE).json()
    assert client.post(RETIRE).json() == first
    assert audit_events(story.database).count("model.retired") == 1


def test_only_admins_retire_and_only_what_there_is(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    before = client.get("/v1/models/digits").json()
    for key in (PIPELINE_KEY, OTHER_KEY):
        with client_for(enrolled, key) as other:
            assert_problem(other.post(RETIRE), 403, "not-permitted")
    assert_problem(client.post("/v1/models/nobody/retire"), 404, "unknown-model")
    client.post("/v1/models", json=enrolment(digits, "young"))
    assert_problem(client.post("/v1/models/young/retire"), 409, "model-enrolling")
    assert client.get("/v1/models/digits").json() == before
    client.post("/v1/models/young/cancel")
    assert client.post("/v1/models/young/retire").json()["state"] == "retired"


def test_a_request_that_comes_at_the_same_moment_is_refused_or_settled(
    client: TestClient, story: Story, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has found the model active, and is not written yet."""
    found, go_on = threading.Event(), threading.Event()
    insert = writing.insert_requests

    def slowly(*given: object) -> object:
        found.set()
        assert go_on.wait(20)
        return insert(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "insert_requests", slowly)
    with ThreadPoolExecutor(2) as pool:
        posting = pool.submit(post, client, digits.of_label(4)[:2])
        assert found.wait(20)
        retiring = pool.submit(client.post, RETIRE)
        assert until(lambda: _waits_for_a_lock(story), 20)
        go_on.set()
        answer = posting.result(20)
        assert retiring.result(20).status_code == 200
    assert answer.status_code == 202
    view = client.get(answer.headers["Location"]).json()
    assert (view["status"], view["counts"]) == ("settled", {"failed": 2})


def test_a_database_that_was_set_back_to_before_the_retirement_serves_nothing_and_repeats_it(
    story: Story, journal: Journal, digits: Digits, servers: Servers
) -> None:
    older = copy_database(story, servers)
    # Of this publication the older one knows nothing, and need not.
    story.forget(digits.of_label(3))
    with client_for(story.resources.settings) as client:
        assert client.post(RETIRE).status_code == 200
    keep_journal(story.database, journal)
    with set_back_to(older) as again, client_for(older) as client:
        for path in ("latest", "0/file"):
            answer = client.get(f"{CHECKPOINTS}/{path}", follow_redirects=False)
            assert "retired" in assert_problem(answer, 503, "model-behind")["detail"]
        assert keep_journal(again.database, journal) == []
        assert client.get("/v1/models/digits").json()["state"] == "retired"
        assert_problem(client.get(f"{CHECKPOINTS}/0/file"), 410, "model-retired")
        with again.database.reading() as session:
            assert is_current(session, journal)
        # Once is enough.
        keep_journal(again.database, journal)
        assert audit_events(again.database).count("model.retired") == 1


def test_who_takes_the_name_in_a_database_that_never_knew_the_retired_model_is_not_retired(
    settings: Settings, digits: Digits
) -> None:
    journal = open_journal(settings.artifact_store_url)
    journal.retire("digits", uuid.uuid4())
    with open_resources(settings) as resources:
        enrol_model(resources, digits.enrolment)
        keep_journal(resources.database, journal)
        with client_for(settings) as client:
            assert client.get(f"{CHECKPOINTS}/0/file").status_code == 200


def test_nothing_is_computed_anew_of_a_retired_model(
    client: TestClient, story: Story, digits: Digits
) -> None:
    with pytest.raises(NothingToRecompute):
        recompute("digits", story.resources)
    client.post(RETIRE)
    with pytest.raises(ModelRetired):
        recompute("digits", story.resources)


def _files(story: Story) -> list:
    root = story.path(0).parents[1]
    return [path for path in root.rglob("*") if path.is_file()]


def _waits_for_a_lock(story: Story) -> bool:
    with story.database.reading() as session:
        waiting = session.connection().exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(waiting.scalar())
