"""More than the gateway takes: an answer at once, and nobody holds a place for ever."""

import json
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi.testclient import TestClient

from models.settings import Settings
from tests.conftest import ADMIN_KEY, PIPELINE_KEY
from tests.integration.app.support import (
    CHECKPOINTS,
    REQUESTS,
    assert_problem,
    execute,
    row_counts,
    served,
)

AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}
BODY = json.dumps({"model": "digits", "sample_ids": ["person-1"]}).encode()
LINE = b'"person-1"\n'
BULK = f"{REQUESTS}?model=digits"


@contextmanager
def connection(address: str) -> Iterator[socket.socket]:
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as opened:
        yield opened


def head(path: str, *headers: str, key: str | None = ADMIN_KEY, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode()


def begun_json(address: str, held: ExitStack) -> socket.socket:
    """A JSON body of which one byte is missing."""
    opened = held.enter_context(connection(address))
    headers = ("Content-Type: application/json", f"Content-Length: {len(BODY)}")
    opened.sendall(head(REQUESTS, *headers) + BODY[:-1])
    return opened


def begun_lines(address: str, held: ExitStack) -> socket.socket:
    """An NDJSON body that goes on."""
    opened = held.enter_context(connection(address))
    headers = ("Content-Type: application/x-ndjson", "Transfer-Encoding: chunked")
    opened.sendall(head(BULK, *headers) + chunk(LINE))
    return opened


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def answer(opened: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    received = b""
    while piece := opened.recv(65536):
        received += piece
    return received


def eventually(address: str, path: str, status: int, content: bytes, kind: str) -> httpx2.Response:
    """Post until the answer has the status; the places of others are taken a moment later."""
    deadline = time.monotonic() + 30
    while True:
        found = httpx2.post(
            address + path,
            content=content,
            headers={**AUTHORIZATION, "Content-Type": kind},
        )
        if found.status_code == status:
            return found
        assert time.monotonic() < deadline, found.text


def test_beyond_the_places_for_bodies_the_answer_is_503_at_once_and_others_go_on(
    enrolled: Settings,
) -> None:
    few = enrolled.model_copy(update={"max_bodies": 2, "api_keys": enrolled.api_keys[:1]})
    with served(few) as address, ExitStack() as held:
        first, second = begun_json(address, held), begun_json(address, held)

        refused = eventually(address, REQUESTS, 503, BODY, "application/json")
        begun = time.monotonic()
        again = eventually(address, REQUESTS, 503, BODY, "application/json")

        assert time.monotonic() - begun < 1
        assert_problem(refused, 503, "too-busy")
        assert int(again.headers["Retry-After"]) > 0
        assert httpx2.get(f"{address}/v1/models", headers=AUTHORIZATION).status_code == 200
        for opened in (first, second):
            opened.sendall(BODY[-1:])
            assert opened.recv(12) == b"HTTP/1.1 202"
        eventually(address, REQUESTS, 202, BODY, "application/json")


def test_a_key_that_holds_its_share_of_places_leaves_the_others_to_others(
    enrolled: Settings,
) -> None:
    few = enrolled.model_copy(update={"max_bodies": 8, "max_large_bodies": 2, "max_downloads": 2})
    _grow(enrolled, 16 << 20)
    file = f"{CHECKPOINTS}/0/file"
    others = {"Authorization": f"Bearer {PIPELINE_KEY}"}
    with served(few) as address, ExitStack() as held:
        for _ in range(5):
            begun_json(address, held)
        begun_lines(address, held)
        slow = held.enter_context(connection(address))
        slow.sendall(head(file, method="GET"))
        assert slow.recv(12) == b"HTTP/1.1 200"

        # Six of eight bodies, one of two large ones, one of two downloads.
        refused = [
            eventually(address, REQUESTS, 503, BODY, "application/json"),
            eventually(address, BULK, 503, LINE, "application/x-ndjson"),
            httpx2.get(address + file, headers=AUTHORIZATION),
        ]
        for each in refused:
            assert_problem(each, 503, "too-busy")
            assert "one key may have" in each.json()["detail"]
        for path, content, kind in (
            (REQUESTS, BODY, "application/json"),
            (BULK, LINE, "application/x-ndjson"),
        ):
            headers = {**others, "Content-Type": kind}
            answer = httpx2.post(address + path, content=content, headers=headers)
            assert answer.status_code == 202
        with httpx2.stream("GET", address + file, headers=others) as download:
            assert download.status_code == 200


@pytest.mark.parametrize("key", [None, "a-wrong-key"])
def test_whoever_has_no_key_is_answered_at_once_and_takes_no_place(
    enrolled: Settings, key: str | None
) -> None:
    few = enrolled.model_copy(update={"max_bodies": 1, "max_large_bodies": 1})
    headers = ("Content-Type: application/json", "Content-Length: 10")
    run = f"/v1/runs/{uuid.UUID(int=1)}"
    heads = [
        head(REQUESTS, *headers, key=key),
        head(BULK, "Content-Type: application/x-ndjson", "Content-Length: 10", key=key),
        head("/v1/models", *headers, key=key),
        head("/v1/models/digits/policy", *headers, key=key, method="PATCH"),
        head(f"{run}/approve", *headers, key=key),
        head(f"{run}/reject", *headers, key=key),
    ]
    with served(few) as address, ExitStack() as held:
        for sent in heads:
            opened = held.enter_context(connection(address))
            opened.settimeout(5)
            opened.sendall(sent)
            assert opened.recv(12) == b"HTTP/1.1 401"
        answer = httpx2.post(
            address + REQUESTS,
            content=BODY,
            headers={**AUTHORIZATION, "Content-Type": "application/json"},
        )
        assert answer.status_code == 202


def test_large_bodies_have_few_places_and_small_ones_do_not_need_them(enrolled: Settings) -> None:
    few = enrolled.model_copy(update={"max_large_bodies": 1})
    large = json.dumps({"model": "digits", "sample_ids": ["x" * 200] * 10_000}).encode()
    with served(few) as address, ExitStack() as held:
        bulk = begun_lines(address, held)

        refused = eventually(address, BULK, 503, LINE, "application/x-ndjson")
        assert_problem(refused, 503, "too-busy")
        eventually(address, REQUESTS, 503, large, "application/json")
        eventually(address, REQUESTS, 202, BODY, "application/json")

        bulk.sendall(b"0\r\n\r\n")
        assert bulk.recv(12) == b"HTTP/1.1 202"
        eventually(address, BULK, 202, LINE, "application/x-ndjson")


def test_a_body_that_stalls_is_given_up_and_the_connection_closed(enrolled: Settings) -> None:
    before = row_counts(enrolled)
    hasty = enrolled.model_copy(update={"body_timeout_s": 0.3})
    with served(hasty) as address, ExitStack() as held:
        for opened in (begun_json(address, held), begun_lines(address, held)):
            received = answer(opened)
            assert received.startswith(b"HTTP/1.1 408")
            assert b"urn:expunge:problem:body-timeout" in received
    assert row_counts(enrolled) == before


def test_a_body_that_trickles_is_given_up_too(enrolled: Settings) -> None:
    before = row_counts(enrolled)
    hasty = enrolled.model_copy(update={"bulk_timeout_s": 0.5, "body_timeout_s": 20})
    with served(hasty) as address, ExitStack() as held:
        opened = begun_lines(address, held)
        opened.settimeout(0.05)
        received = b""
        while not received:
            try:
                received = opened.recv(65536)
            except TimeoutError:
                opened.sendall(chunk(LINE))
        assert received.startswith(b"HTTP/1.1 408")
    assert row_counts(enrolled) == before


def test_a_client_that_goes_away_in_mid_body_has_changed_nothing_and_left_its_place(
    enrolled: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    before = row_counts(enrolled)
    few = enrolled.model_copy(update={"max_large_bodies": 1})
    with served(few) as address:
        with ExitStack() as held:
            opened = begun_lines(address, held)
            opened.sendall(chunk(LINE * 1000))
            eventually(address, BULK, 503, LINE, "application/x-ndjson")
        assert row_counts(enrolled) == before
        eventually(address, BULK, 202, LINE, "application/x-ndjson")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_client_that_is_still_sending_reads_why_it_is_refused(enrolled: Settings) -> None:
    with served(enrolled) as address, ExitStack() as held:
        opened = begun_lines(address, held)
        opened.sendall(chunk(b"not a line\n"))
        received = opened.recv(65536)
        assert received.startswith(b"HTTP/1.1 422")
        for _ in range(50):
            opened.sendall(chunk(LINE * 5000))
        # The rest is taken, and the connection can be used again.
        opened.sendall(b"0\r\n\r\n" + head("/v1/nowhere", "Content-Length: 0"))
        assert b"HTTP/1.1 404" in opened.recv(65536) + opened.recv(65536)


def test_downloads_have_places_of_their_own(enrolled: Settings) -> None:
    few = enrolled.model_copy(update={"max_downloads": 1})
    file = f"{CHECKPOINTS}/0/file"
    with served(few) as address, ExitStack() as held:
        whole = httpx2.get(address + file, headers=AUTHORIZATION)
        assert whole.status_code == 200
        _grow(enrolled, 16 << 20)
        slow = held.enter_context(connection(address))
        slow.sendall(head(file, method="GET"))
        assert slow.recv(12) == b"HTTP/1.1 200"

        refused = httpx2.get(address + file, headers=AUTHORIZATION)
        assert_problem(refused, 503, "too-busy")
        assert int(refused.headers["Retry-After"]) > 0
        assert httpx2.head(address + file, headers=AUTHORIZATION).status_code == 200
        eventually(address, REQUESTS, 202, BODY, "application/json")


def test_a_download_that_takes_too_long_is_cut_off(enrolled: Settings) -> None:
    hasty = enrolled.model_copy(update={"download_timeout_s": 0.3})
    size = 16 << 20
    _grow(enrolled, size)
    with served(hasty) as address, connection(address) as slow:
        slow.sendall(head(f"{CHECKPOINTS}/0/file", method="GET"))
        assert slow.recv(12) == b"HTTP/1.1 200"
        time.sleep(1)
        assert len(answer(slow)) < size


def test_many_long_polls_leave_room_for_others(enrolled: Settings, client: TestClient) -> None:
    posted = client.post(REQUESTS, content=BODY, headers={"Content-Type": "application/json"})
    path = posted.headers["Location"]
    with served(enrolled) as address, ThreadPoolExecutor(60) as pool:
        polls = [
            pool.submit(httpx2.get, f"{address}{path}?wait=3", headers=AUTHORIZATION, timeout=60)
            for _ in range(60)
        ]
        eventually(address, REQUESTS, 202, BODY, "application/json")
        begun = time.monotonic()
        assert httpx2.get(f"{address}/v1/models", headers=AUTHORIZATION).status_code == 200
        assert time.monotonic() - begun < 2
        assert {poll.result().status_code for poll in polls} == {200}


def _grow(settings: Settings, size: int) -> None:
    """Let version 0 be a file that does not fit into a connection's buffers."""
    from models.artifacts import open_store

    content = bytes(size)
    artifact = open_store(settings.artifact_store_url).put(lambda file: _write(file, content))
    execute(settings, f"UPDATE checkpoint SET sha256 = '{artifact.sha256}', size = {size}")


def _write(file: object, content: bytes) -> None:
    file.write(content)  # type: ignore[attr-defined]
