"""Who may see what: of models that are no admin's, and of what waits."""

from typing import Any

from fastapi.testclient import TestClient

from models.registry import find_model
from models.settings import Settings
from tests.conftest import OTHER_KEY, Digits, client_for, work
from tests.integration.app.support import REQUESTS, enrolment, post
from workers.resources import open_resources
from workers.transactions.claims import claim


def test_where_data_lies_and_why_it_was_refused_is_for_admins(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    wrong: dict[str, Any] = enrolment(digits, "wrong")
    wrong["dataset"] = {"kind": "arrays", "path": "/nowhere/of-jane.npz"}
    client.post("/v1/models", json=wrong)
    work(enrolled)
    mine = client.get("/v1/models/wrong").json()
    assert mine["state"] == "enrolment_failed"
    assert "of-jane" in mine["failure"]["detail"]
    assert mine["dataset"]["path"] == "/nowhere/of-jane.npz"
    with client_for(enrolled, OTHER_KEY) as other:
        theirs = other.get("/v1/models/wrong").json()
        listed = other.get("/v1/models").text
    assert theirs["failure"]["kind"] == mine["failure"]["kind"]
    assert theirs["dataset"] == {"kind": "arrays"}
    assert "of-jane" not in str(theirs)
    assert "of-jane" not in listed


def test_runs_in_which_nothing_waits_any_more_can_be_left_out(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    client.patch("/v1/models/digits/policy", json={"method": {"method": "fixed", "alpha": 1e9}})
    gate = {"max_retained_fall": 0.02, "max_class_fall": 0.1, "max_holdout_fall": 0.01}
    client.patch("/v1/models/digits/policy", json={"gate": {**gate, "on_shortfall": "review"}})
    posted = post(client, digits.of_label(5))
    work(enrolled)

    def held(waiting: str) -> list[str]:
        query = {"state": "needs_review", **({"waiting": waiting} if waiting else {})}
        return [run["id"] for run in client.get("/v1/runs", params=query).json()["runs"]]

    (run,) = held("")
    assert (held("true"), held("false")) == ([run], [])
    client.delete(posted.headers["Location"])
    assert (held("true"), held("false")) == ([], [run])


def test_when_a_request_was_withdrawn_does_not_move_when_it_is_withdrawn_again(
    client: TestClient, enrolled: Settings, digits: Digits
) -> None:
    location = post(client, digits.of_label(5)[:2]).headers["Location"]
    under_way(enrolled)
    first = client.delete(location)
    assert first.status_code == 202
    again = client.delete(location)
    assert again.json()["cancel_requested_at"] == first.json()["cancel_requested_at"]
    assert client.get(location).json()["status"] == "running"
    assert location.startswith(REQUESTS)


def under_way(settings: Settings) -> None:
    """As if a worker had begun, and had not come far yet."""
    with open_resources(settings) as resources, resources.database.reading() as session:
        model_id = find_model(session, "digits").id
    with open_resources(settings) as resources:
        assert claim(model_id, resources) is not None
