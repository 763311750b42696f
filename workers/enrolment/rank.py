"""One of an enrolment's processes, as torchrun starts it: `-m workers.enrolment.rank [JOB] PARENT`.

The first is given the file of the job, by which the others are told of it.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch

from models.errors import ExpungeError, RankRefused
from models.processes import die_with_parent
from models.settings import Settings, load_settings
from workers.enrolment.group import Group, joined
from workers.enrolment.job import Job
from workers.enrolment.portions import portions_of
from workers.enrolment.shards import sum_portions
from workers.failures import describe
from workers.progress import TELL_EVERY_S
from workers.resources import choose_device, require_determinism
from workers.unlearning.estimators import estimator_of


def take_part(file: Path | None) -> int:
    """Be one rank of the job in the file, or of the one the first rank has; 1 if it is refused."""
    settings = load_settings(with_services=False)
    place, places = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    device = choose_device(settings.device)
    if device.type == "cuda":
        device = torch.device("cuda", place)
        torch.cuda.set_device(device)
    threads = settings.threads or os.cpu_count() or 1
    torch.set_num_threads(max(1, threads // places))
    require_determinism()
    with joined(device) as group:
        try:
            _sum(file, group, settings, device)
        except ExpungeError as error:
            # All know what all have been told of; one of each machine says it there.
            if place == 0 or not isinstance(error, RankRefused):
                _say({"error": describe(error).as_json()})
            return 1
    return 0


def _sum(file: Path | None, group: Group, settings: Settings, device: torch.device) -> None:
    own = file.read_bytes() if group.is_first and file is not None else b""
    job = Job.parse(group.bytes_of_first(own))
    prepared = group.all_do(lambda: job.prepared(settings.sources_root, device))
    sum_portions(
        prepared.network,
        estimator_of(job.enrolment.estimator),
        prepared.indexed.dataset,
        portions_of(prepared.indexed.training(), job.apart),
        job.logs,
        settings,
        _Teller(tells=group.is_first).advance,
        group,
    )


class _Teller:
    """Says how many samples are done, at a bounded rate."""

    def __init__(self, *, tells: bool) -> None:
        self._tells = tells
        self._done = 0
        self._told = time.monotonic()

    def advance(self, count: int) -> None:
        """`count` more are done."""
        self._done += count
        if self._tells and time.monotonic() - self._told > TELL_EVERY_S / 2:
            _say({"done": self._done})
            self._done, self._told = 0, time.monotonic()


def _say(what: dict[str, object]) -> None:
    # One write: the lines of several processes must not mix.
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    *jobs, parent = sys.argv[1:]
    die_with_parent(int(parent))
    sys.exit(take_part(Path(jobs[0]) if jobs else None))
