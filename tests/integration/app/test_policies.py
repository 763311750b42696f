"""GET and PATCH of a registered model's policy."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from models.database import Database
from models.policies import change_policy
from models.registry import find_model
from models.settings import Settings
from tests.conftest import Digits
from tests.integration.app.support import assert_problem, enrolment, row_counts
from workers.resources import Resources

PATH = "/v1/models/digits/policy"


def test_a_patch_changes_what_it_names_and_counts_a_version(client: TestClient) -> None:
    before = client.get(PATH).json()
    assert before["version"] == 1
    patch = {"gate": {"max_holdout_fall": 0.005}, "method": {"method": "fixed", "alpha": 3}}
    after = client.patch(PATH, json=patch).json()
    assert after["version"] == 2
    assert after["policy"]["method"] == {"method": "fixed", "alpha": 3, "lambda": 1}
    assert after["policy"]["gate"] == {**before["policy"]["gate"], "max_holdout_fall": 0.005}
    assert after["policy"]["probe_size"] == before["policy"]["probe_size"]
    model = client.get("/v1/models/digits").json()
    assert (model["policy_version"], model["policy"]) == (2, after["policy"])
    record = client.get("/v1/audit/records").json()["records"][-1]
    assert record["event"] == "policy.changed"
    assert record["actor"] == "admin"
    assert record["details"] == {"version": 2, "policy": after["policy"]}
    # The fields of one method are not merged into those of another.
    for method in ({"method": "auto", "max_candidates": 3}, {"method": "adaptive"}):
        changed = client.patch(PATH, json={"method": method})
        assert changed.status_code == 200, changed.text
        assert changed.json()["policy"]["method"].items() >= method.items()


def test_of_two_admins_at_once_neither_undoes_what_the_other_has_changed(
    resources: Resources,
) -> None:
    database = resources.database

    def change() -> None:
        with database.transaction() as session:
            change_policy(session, "digits", {"gate": {"min_probe": 7}}, "second")

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            change_policy(session, "digits", {"probe_size": 50}, "first")
            waiting = pool.submit(change)
            while not _waits_for_a_lock(database):
                assert not waiting.done()
        waiting.result()
    with database.reading() as session:
        model = find_model(session, "digits")
    assert (model.policy["probe_size"], model.policy["gate"]["min_probe"]) == (50, 7)
    assert model.policy_version == 3


def _waits_for_a_lock(database: Database) -> bool:
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.reading() as session:
        return bool(session.scalar(blocked))


def test_null_goes_back_to_the_default(client: TestClient) -> None:
    client.patch(PATH, json={"probe_size": 50})
    assert client.patch(PATH, json={"probe_size": None}).json()["policy"]["probe_size"] == 1000


def test_null_within_what_is_replaced_whole_is_the_default_too(client: TestClient) -> None:
    method = {"method": "fixed", "alpha": 3, "lambda": None}
    after = client.patch(PATH, json={"method": method}).json()
    assert after["policy"]["method"] == {"method": "fixed", "alpha": 3, "lambda": 1}


def test_a_patch_that_changes_nothing_is_no_new_version(client: TestClient) -> None:
    same = client.get(PATH).json()["policy"]
    assert client.patch(PATH, json=same).json()["version"] == 1
    assert client.patch(PATH, json={}).json()["version"] == 1


@pytest.mark.parametrize(
    "patch",
    [
        {"gate": {"max_retained_fall": -0.1}},
        {"gate": {"max_class_fall": 1.5}},
        # A slip for "on" must not open the gate.
        {"gate": {"max_retained_fall": True}},
        {"gate": {"max_holdout_fall": "0.1"}},
        {"gate": {"min_probe": True}},
        {"probe_size": "100"},
        {"gate": {"max_membership": 0.6}},
        {"gate": {"max_excess": 1.5}},
        {"gate": {"min_probe": 0}},
        {"gate": {"max_forgotten_share": 0}},
        {"gate": {"on_shortfall": "hope"}},
        {"gate": {"unheard_of": 1}},
        {"gate": 5},
        {"probe_size": 1},
        {"method": {"method": "fixed", "alpha": 0}},
        {"method": {"method": "fixed", "alpha": -1}},
        {"method": {"method": "fixed", "alpha": 1, "lambda": 0}},
        {"method": {"method": "fixed"}},
        {"method": {"method": "auto", "max_candidates": 0}},
        {"method": {"method": "auto", "max_seconds": -1}},
        {"unheard_of": 1},
    ],
)
def test_what_is_no_policy_is_refused_and_changes_nothing(
    client: TestClient, enrolled: Settings, patch: dict[str, Any]
) -> None:
    before = row_counts(enrolled)
    assert_problem(client.patch(PATH, json=patch), 422, "invalid-policy")
    assert client.get(PATH).json()["version"] == 1
    assert row_counts(enrolled) == before


def test_who_has_seen_another_policy_changes_nothing(client: TestClient) -> None:
    seen = client.get(PATH).headers["ETag"]
    changed = client.patch(PATH, json={"probe_size": 50}, headers={"If-Match": seen})
    assert changed.status_code == 200
    assert changed.headers["ETag"] == client.get(PATH).headers["ETag"] != seen
    for stale in (seen, f"W/{changed.headers['ETag']}", '"1"'):
        refused = client.patch(PATH, json={"probe_size": 60}, headers={"If-Match": stale})
        assert_problem(refused, 412, "precondition-failed")
    assert client.get(PATH).json()["version"] == 2
    for current in (changed.headers["ETag"], "*", f'"1", {changed.headers["ETag"]}'):
        same = client.patch(PATH, json={"probe_size": 50}, headers={"If-Match": current})
        assert same.json()["version"] == 2


def test_a_method_that_needs_other_sums_than_there_are_is_refused(
    client: TestClient, digits: Digits
) -> None:
    label_free = {"method": {"method": "label_free"}}
    assert client.patch(PATH, json=label_free).status_code == 200
    body = enrolment(digits, "by-label", estimator={"kind": "empirical"})
    assert client.post("/v1/models", json=body).status_code == 202
    refused = client.patch("/v1/models/by-label/policy", json=label_free)
    assert_problem(refused, 422, "invalid-policy")


@pytest.mark.parametrize("body", ["[]", "5", '"gate"'])
def test_a_patch_is_an_object(client: TestClient, body: str) -> None:
    answer = client.patch(PATH, content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(client: TestClient, number: str) -> None:
    body = f'{{"method": {{"method": "fixed", "alpha": {number}}}}}'
    answer = client.patch(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert client.get(PATH).json()["version"] == 1


def test_pipelines_may_look_and_not_change(pipeline: TestClient) -> None:
    assert pipeline.get(PATH).status_code == 200
    assert_problem(pipeline.patch(PATH, json={}), 403, "not-permitted")
