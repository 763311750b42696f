"""A gateway that is asked to stop: whoever waits for news is answered, and the end comes soon."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import httpx2

from app.main import Server
from models.settings import Settings
from tests.conftest import ADMIN_KEY
from tests.integration.app.support import REQUESTS, row_counts
from tests.support.waiting import until

AUTHORIZATION = {"Authorization": f"Bearer {ADMIN_KEY}"}
LONG_S = 55


@contextmanager
def running(settings: Settings) -> Iterator[tuple[Server, Thread, tuple[str, int]]]:
    """A gateway in a thread, and where it listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(settings)
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            assert until(lambda: server.started, within_s=30)
            yield server, thread, listening.getsockname()
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def test_long_polls_are_answered_when_the_gateway_stops(enrolled: Settings) -> None:
    with running(enrolled) as (server, thread, (host, port)), ThreadPoolExecutor(3) as pool:
        address = f"http://{host}:{port}"
        body = {"model": "digits", "sample_ids": ["person-1"]}
        posted = httpx2.post(address + REQUESTS, json=body, headers=AUTHORIZATION)
        path = f"{address}{posted.headers['Location']}"
        etag = httpx2.get(path, headers=AUTHORIZATION).headers["ETag"]
        begun = time.monotonic()
        polls = [
            pool.submit(
                httpx2.get,
                f"{path}?wait={LONG_S}",
                headers=AUTHORIZATION | condition,
                timeout=2 * LONG_S,
            )
            for condition in ({}, {"If-None-Match": etag})
        ]
        polling = server.config.app.state.polls  # type: ignore[union-attr]
        assert until(lambda: polling.waiting == len(polls), within_s=30)

        server.should_exit = True

        answers = [poll.result() for poll in polls]
        thread.join()
        assert time.monotonic() - begun < LONG_S
        assert [answer.status_code for answer in answers] == [200, 304]


def test_a_body_that_does_not_end_holds_up_the_end_for_the_grace_and_no_longer(
    enrolled: Settings,
) -> None:
    before = row_counts(enrolled)
    hasty = enrolled.model_copy(update={"gateway_grace_s": 1, "body_timeout_s": 10 * LONG_S})
    with (
        running(hasty) as (server, thread, address),
        socket.create_connection(address) as opened,
    ):
        opened.sendall(
            f"POST {REQUESTS}?model=digits HTTP/1.1\r\nHost: gateway\r\n"
            f"Authorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/x-ndjson\r\n"
            'Transfer-Encoding: chunked\r\n\r\nb\r\n"person-1"\n\r\n'.encode()
        )
        assert until(lambda: _is_read(server), within_s=30)

        server.should_exit = True

        thread.join(LONG_S)
        assert not thread.is_alive()
    assert row_counts(enrolled) == before


def _is_read(server: Server) -> bool:
    return bool(server.config.app.state.grouping._bulk.borrowed_tokens)  # type: ignore[union-attr]
