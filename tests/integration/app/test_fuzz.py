"""Whatever is sent, the answer is never the service's fault."""

import json
from typing import Any
from urllib.parse import quote

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import Digits
from tests.integration.app.support import REQUESTS, assert_some_problem, enrolment

JSON = {"Content-Type": "application/json"}
bounded = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Any text that JSON can write down: unpaired surrogates, NUL and all.
texts = st.text(st.characters(), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
deadlines = (
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
    | st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
    | st.integers(-(10**12), 10**12)
)
requests = st.fixed_dictionaries(
    {
        "model": st.just("digits") | values,
        "sample_ids": st.lists(
            st.integers(0, 599).map(lambda number: f"person-{number}") | texts, min_size=1
        )
        | values,
    },
    optional={"reference": texts | values, "deadline": deadlines | values},
)


def check(client: TestClient, answer: Any) -> None:
    if answer.status_code == 202:
        for path in ("", "/items"):
            followed = client.get(answer.headers["Location"] + path)
            assert followed.status_code == 200, followed.text
    else:
        assert_some_problem(answer)


@bounded
@example(body={"model": "digits", "sample_ids": ["a\0b"]}, extra=None)
@example(body={"model": "digits", "sample_ids": ["person-1"]}, extra=("\ud800", 1))
@given(body=requests | values, extra=st.none() | st.tuples(texts, values))
def test_no_body_of_a_deletion_request_makes_the_service_fail(
    client: TestClient, body: Any, extra: tuple[str, Any] | None
) -> None:
    if isinstance(body, dict) and extra is not None:
        body = {**body, extra[0]: extra[1]}
    check(client, client.post(REQUESTS, content=json.dumps(body), headers=JSON))


@bounded
@given(content=st.binary(max_size=200), kind=st.sampled_from(["application/json", "text/plain"]))
def test_no_bytes_make_the_service_fail(reader: TestClient, content: bytes, kind: str) -> None:
    check(reader, reader.post(REQUESTS, content=content, headers={"Content-Type": kind}))


@bounded
@given(path=st.lists(st.sampled_from([0, 1, 2]), max_size=3), value=values, name=st.none() | texts)
def test_no_body_of_an_enrolment_makes_the_service_fail(
    client: TestClient, digits: Digits, path: list[int], value: Any, name: str | None
) -> None:
    body = enrolment(digits, "digits" if name is None else name)
    node: Any = body
    for step in path:
        inner = [child for child in node.values() if isinstance(child, dict)]
        if not inner:
            break
        node = inner[step % len(inner)]
    field = sorted(node)[len(path) % len(node)] if node else "name"
    node[field] = value
    answer = client.post("/v1/models", content=json.dumps(body), headers=JSON)
    if answer.status_code != 202:
        assert_some_problem(answer)


@bounded
@example(text="\0", path="/v1/models/{}")
@example(text="nan", path="/v1/models/digits?wait={}")
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    path=st.sampled_from(
        [
            "/v1/models/{}",
            "/v1/models/{}/checkpoints",
            "/v1/models/digits/checkpoints/{}",
            "/v1/models/digits/checkpoints/{}/file",
            "/v1/models/digits/samples/{}",
            "/v1/runs/{}",
            "/v1/runs?model={}",
            "/v1/runs?state={}",
            "/v1/runs?cursor={}",
            "/v1/runs?limit={}",
            "/v1/audit/records?cursor={}",
            "/v1/audit/records?model={}",
            "/v1/deletion-requests/{}",
        ]
    ),
)
def test_no_address_makes_the_service_fail(reader: TestClient, text: str, path: str) -> None:
    answer = reader.get(path.format(quote(text, safe="")))
    if answer.status_code != 200:
        assert_some_problem(answer)
