"""One of an enrolment's processes, as torchrun starts them: `-m workers.enrolment.rank JOB`."""

import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import distributed

from models.errors import ExpungeError
from models.processes import die_with_parent
from models.settings import load_settings
from models.specifications import Enrolment
from workers.enrolment.portions import portions_of
from workers.enrolment.preparation import prepare
from workers.enrolment.shardlog import ShardLogs
from workers.enrolment.shards import sum_portions
from workers.failures import describe
from workers.progress import TELL_EVERY_S
from workers.resources import choose_device, require_determinism
from workers.unlearning.estimators import estimator_of


def take_part(job: Path) -> int:
    """Be one rank of the job that the file describes; 1 if it must be refused."""
    said = json.loads(job.read_text())
    settings = load_settings(with_services=False)
    place, places = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    device = choose_device(settings.device)
    if device.type == "cuda":
        device = torch.device("cuda", place)
        torch.cuda.set_device(device)
    threads = settings.threads or os.cpu_count() or 1
    torch.set_num_threads(max(1, threads // places))
    require_determinism()
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        enrolment = Enrolment.model_validate(said["enrolment"])
        prepared = prepare(enrolment, settings.sources_root, device)
        sum_portions(
            prepared.network,
            estimator_of(enrolment.estimator),
            prepared.indexed.dataset,
            portions_of(prepared.indexed.training(), said["apart"]),
            ShardLogs(Path(said["logs"]), said["shard_size"]),
            settings,
            _Teller(tells=distributed.get_rank() == 0).advance,
        )
    except ExpungeError as error:
        _say({"error": describe(error).as_json()})
        return 1
    finally:
        distributed.destroy_process_group()
    return 0


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
    die_with_parent(os.getppid())
    sys.exit(take_part(Path(sys.argv[1])))
