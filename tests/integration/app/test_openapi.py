"""The OpenAPI document: good enough to generate a client from."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.problems import TABLE
from models.records import Outcome, RunState
from models.settings import Settings
from tests.integration.app.support import PROBLEM, post

METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}
PATHS = {
    "/v1/deletion-requests": {"post"},
    "/v1/deletion-requests/{request_id}": {"get", "delete"},
    "/v1/deletion-requests/{request_id}/items": {"get"},
    "/v1/runs": {"get"},
    "/v1/runs/{run_id}": {"get"},
    "/v1/models": {"get", "post"},
    "/v1/models/{model}": {"get"},
    "/v1/models/{model}/checkpoints": {"get"},
    "/v1/models/{model}/checkpoints/{version}": {"get"},
    "/v1/models/{model}/checkpoints/{version}/file": {"get", "head"},
    "/v1/models/{model}/samples/{sample_id}": {"get"},
    "/v1/audit/records": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
}


@pytest.fixture
def document(reader_without_key: TestClient) -> dict[str, Any]:
    answer = reader_without_key.get("/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def everything(node: Any) -> Iterator[dict[str, Any]]:
    """All objects in a document."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from everything(child)
    elif isinstance(node, list):
        for child in node:
            yield from everything(child)


def resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_route_of_the_service_is_described(document: dict[str, Any]) -> None:
    described = {path: METHODS & set(item) for path, item in document["paths"].items()}
    for path, methods in PATHS.items():
        assert methods <= described[path]


def test_the_document_is_sound(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"]
    assert document["info"]["version"]
    for node in everything(document):
        if isinstance(node.get("$ref"), str):
            assert resolve(document, node["$ref"])
    for path, _, operation in operations(document):
        named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        assert all(p["required"] for p in operation.get("parameters", []) if p["in"] == "path")
        assert all("schema" in p for p in operation.get("parameters", []))
        for code, response in operation["responses"].items():
            assert code == "default" or 100 <= int(code) < 600
            assert response["description"]
    security = set(document["components"]["securitySchemes"])
    for path, _, operation in operations(document):
        used = {name for choice in operation.get("security", []) for name in choice}
        assert used <= security
        assert bool(used) == path.startswith("/v1/")


def test_every_operation_has_an_id_of_its_own_a_summary_and_a_description(
    document: dict[str, Any],
) -> None:
    found = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(found) == len(set(found))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in found)
    for path, method, operation in operations(document):
        assert operation.get("summary"), (method, path)
        assert operation.get("description"), (method, path)
        assert operation.get("tags"), (method, path)


def test_every_problem_is_described_as_one(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for code, response in operation["responses"].items():
            if code == "default" or code.startswith("4"):
                assert set(response["content"]) == {PROBLEM}, (method, path, code)


def test_what_is_posted_has_examples(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            schema = content["schema"]
            schema = resolve(document, schema["$ref"]) if "$ref" in schema else schema
            fields = schema.get("properties", {}).values()
            shown = content.get("examples") or content.get("example") or schema.get("examples")
            assert shown or any("examples" in field for field in fields), (method, path)


def test_the_example_of_a_deletion_request_is_one(
    client: TestClient, document: dict[str, Any]
) -> None:
    (example,) = document["components"]["schemas"]["NewDeletionRequest"]["examples"]
    assert client.post("/v1/deletion-requests", json=example).status_code == 202


def test_success_is_described_as_it_is_sent(document: dict[str, Any]) -> None:
    def codes(path: str, method: str) -> set[str]:
        return {code for code in document["paths"][path][method]["responses"] if code < "4"}

    assert codes("/v1/deletion-requests", "post") == {"202"}
    assert codes("/v1/models", "post") == {"202"}
    file = document["paths"]["/v1/models/{model}/checkpoints/{version}/file"]["get"]
    assert set(file["responses"]["200"]["content"]) == {"application/octet-stream"}
    for path in ("/v1/models/{model}/checkpoints/latest",):
        assert codes(path, "get") == {"307"}
    assert codes("/v1/deletion-requests/{request_id}", "delete") == {"200", "202"}
    assert codes("/v1/deletion-requests/{request_id}", "get") == {"200", "304"}
    for method in ("get", "head"):
        path = "/v1/models/{model}/checkpoints/{version}/file"
        assert codes(path, method) == {"200", "206", "304"}


DECLARED = [
    ("/v1/deletion-requests", "post", {400, 401, 403, 404, 408, 413, 422, 503}),
    ("/v1/deletion-requests/{request_id}", "get", {401, 403, 404, 422, 503}),
    ("/v1/deletion-requests/{request_id}", "delete", {401, 403, 404, 409, 422, 503}),
    ("/v1/deletion-requests/{request_id}/items", "get", {400, 401, 403, 404, 422, 503}),
    ("/v1/models", "get", {401, 403, 503}),
    ("/v1/models", "post", {400, 401, 403, 408, 409, 413, 422, 503}),
    ("/v1/models/{model}/policy", "patch", {400, 401, 403, 404, 408, 413, 422, 503}),
    ("/v1/models/{model}/checkpoints/latest", "get", {401, 403, 404, 409, 422, 503}),
    (
        "/v1/models/{model}/checkpoints/{version}/file",
        "get",
        {401, 403, 404, 410, 416, 422, 500, 503},
    ),
    ("/v1/runs/{run_id}/report", "get", {401, 403, 404, 422, 503}),
    ("/healthz", "get", set()),
]


@pytest.mark.parametrize(("path", "method", "statuses"), DECLARED)
def test_problems_are_declared_where_they_occur(
    document: dict[str, Any], path: str, method: str, statuses: set[int]
) -> None:
    declared = document["paths"][path][method]["responses"]
    assert statuses <= {int(code) for code in declared if code >= "4" and code != "default"}


def test_a_declared_problem_is_named_by_its_kind_even_if_several_share_a_status(
    document: dict[str, Any],
) -> None:
    file = document["paths"]["/v1/models/{model}/checkpoints/{version}/file"]["get"]["responses"]
    said = {
        code: re.findall(r"`([a-z-]+)`:", answer["description"]) for code, answer in file.items()
    }
    assert sorted(said["404"]) == ["unknown-checkpoint", "unknown-model"]
    assert sorted(said["503"]) == ["database-unavailable", "model-behind", "too-busy"]
    # However often the document is asked for.
    assert all(len(set(kinds)) == len(kinds) for kinds in said.values())


def test_every_type_of_problem_is_listed(document: dict[str, Any]) -> None:
    found = document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert found == [f"urn:expunge:problem:{kind}" for kind in TABLE]


def test_headers_are_described_where_they_are_sent(
    client: TestClient, enrolled: Settings, document: dict[str, Any]
) -> None:
    posted = post(client, ["person-1"])
    request = posted.headers["Location"]
    model = "/v1/models/digits"
    file = f"{model}/checkpoints/0/file"
    part = {"Range": "bytes=0-9"}
    described = "/v1/models/{model}"
    etag = client.get(model).headers["ETag"]
    answers = [
        (described, client.get(model)),
        (described, client.get(model, headers={"If-None-Match": etag})),
        (f"{described}/checkpoints/{{version}}/file", client.get(file)),
        (f"{described}/checkpoints/{{version}}/file", client.get(file, headers=part)),
        (f"{described}/checkpoints/{{version}}/file", client.head(file)),
        (
            f"{described}/checkpoints/latest/file",
            client.get(f"{model}/checkpoints/latest/file", follow_redirects=False),
        ),
        ("/v1/deletion-requests/{request_id}", client.get(request)),
    ]
    told = ("ETag", "Location", "Repr-Digest", "Content-Range", "Retry-After")
    for path, answer in answers:
        method, status = answer.request.method.lower(), str(answer.status_code)
        headers = document["paths"][path][method]["responses"][status].get("headers", {})
        sent = {name for name in told if name in answer.headers}
        assert set(headers) == sent, (method, path, status)


def test_outcomes_and_run_states_are_explained_one_by_one(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    outcomes = schemas["ItemView"]["properties"]["outcome"]["description"]
    states = schemas["RunSummary"]["properties"]["state"]["description"]
    for said, values in ((outcomes, Outcome), (states, RunState)):
        assert [f"`{each.value}`: " in said for each in values] == [True] * len(values)


def test_every_field_of_a_deletion_request_and_a_registered_model_says_what_it_is(
    document: dict[str, Any],
) -> None:
    plain = {"id", "name", "mode", "label", "sample_id", "created_at", "forgotten_at"}
    for name in ("DeletionRequestView", "ItemView", "ModelView", "CheckpointView", "SampleView"):
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            # Else its type says it.
            assert "description" in schema or "$ref" in schema or field in plain, (name, field)
