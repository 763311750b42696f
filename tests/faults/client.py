"""A client that journals: what it was told is accepted, and repeats what it was not told.

It behaves as a deletion pipeline ought to: one idempotency key a request, kept until there is an
answer, however often the connection breaks.
"""

import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

from models.settings import Settings

PAUSE_S = 0.05


@dataclass(frozen=True)
class Accepted:
    """One line of the journal."""

    request_id: uuid.UUID
    sample_ids: list[str]


class Client:
    """Posts deletion requests for one registered model; any number may share a journal."""

    def __init__(self, settings: Settings, key: str, journal: Path, stop: threading.Event) -> None:
        self._http = httpx2.Client(
            base_url=f"http://{settings.gateway_host}:{settings.gateway_port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
        )
        self._journal = journal
        self._stop = stop
        self.refused = 0

    def post(self, model: str, sample_ids: Sequence[str]) -> Accepted | None:
        """Post until it is accepted, and journal that; None if the client was stopped before."""
        key = str(uuid.uuid4())
        body = {"model": model, "sample_ids": list(sample_ids)}
        while not self._stop.is_set():
            try:
                answer = self._http.post(
                    "/v1/deletion-requests", json=body, headers={"Idempotency-Key": key}
                )
            except httpx2.TransportError:
                self.refused += 1
                self._stop.wait(PAUSE_S)
                continue
            if answer.status_code == 202:
                accepted = Accepted(uuid.UUID(answer.json()["id"]), list(sample_ids))
                self._note(accepted)
                return accepted
            if answer.status_code < 500 and answer.status_code != 429:
                raise AssertionError(f"{answer.status_code}: {answer.text}")
            self.refused += 1
            self._stop.wait(PAUSE_S)
        return None

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def _note(self, accepted: Accepted) -> None:
        line = {"id": str(accepted.request_id), "sample_ids": accepted.sample_ids}
        with self._journal.open("a") as journal:
            journal.write(json.dumps(line) + "\n")


def read_journal(journal: Path) -> list[Accepted]:
    """Everything that was acknowledged."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [Accepted(uuid.UUID(line["id"]), line["sample_ids"]) for line in map(json.loads, lines)]
