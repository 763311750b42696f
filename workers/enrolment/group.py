"""The processes that sum together, on one machine or on several.

All of them do the same things in the same order. What they tell one another is what to do, whether
one of them has found something wrong, and their sums: these by nccl if they lie on GPUs, everything
else by gloo.
"""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

from models.errors import ExpungeError, RankRefused
from workers.failures import Failure, describe, log_unexpected
from workers.unlearning.importances import Sums

log = logging.getLogger(__name__)

Each = TypeVar("Each")
Found = TypeVar("Found")

# How long each waits for the others: until they are there, and then for what they have to say, as
# an index of millions of images takes its time to read.
JOINING, PATIENCE = timedelta(minutes=5), timedelta(hours=1)
# Of one's own machine there is nothing to say where there is no other.
HERE = ""


@dataclass(frozen=True)
class Group:
    """Which process this is, of how many; `machine` is the name of this one if there are others."""

    rank: int = 0
    size: int = 1
    machine: str = HERE
    # None are all that have joined.
    members: distributed.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one that knows what to do, and writes down what has been done."""
        return self.rank == 0

    def share(self, together: list[Each]) -> list[Each]:
        """What this process does of what all do together."""
        return together[self.rank :: self.size]

    def number_of_first(self, number: int) -> int:
        """The first process's number, whatever the others have."""
        return self._number(number, sender=0)

    def bytes_of_first(self, content: bytes) -> bytearray:
        """The first process's bytes, whatever the others have."""
        return self._bytes(content, sender=0)

    def all_do(self, work: Callable[[], Found]) -> Found:
        """What `work` gives this process, once it has given all of them something.

        What one finds wrong is raised in all, as `RankRefused`; a process that is alone raises it
        as it is.
        """
        if self.size == 1:
            return work()
        try:
            found = work()
        except Exception as error:
            if not isinstance(error, ExpungeError):
                log_unexpected(log, error)
            self._require_none_refused(describe(error))
            raise
        self._require_none_refused(None)
        return found

    def add_up(self, sums: Sums) -> None:
        """Make them, in place, what all have summed together."""
        if self.size > 1:
            for tensor in sums.values():
                distributed.all_reduce(tensor, group=self.members)

    def _require_none_refused(self, refusal: Failure | None) -> None:
        refused = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        flag = torch.tensor([int(refusal is not None)])
        distributed.all_gather(refused, flag, group=self.members)
        if not any(refused):
            return
        sender = next(rank for rank, flag in enumerate(refused) if flag)
        told = self._bytes(b"" if refusal is None else self._words(refusal), sender=sender)
        raise RankRefused(**json.loads(told))

    def _words(self, refusal: Failure) -> bytes:
        where = f"On {self.machine}: " if self.machine else ""
        return json.dumps({"found": refusal.kind, "message": f"{where}{refusal.detail}"}).encode()

    def _number(self, number: int, sender: int) -> int:
        return int(self._sent(torch.tensor([number]), sender))

    def _bytes(self, content: bytes, sender: int) -> bytearray:
        held = torch.zeros(self._number(len(content), sender), dtype=torch.uint8)
        if self.rank == sender:
            held.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        return bytearray(self._sent(held, sender).numpy())

    def _sent(self, tensor: Tensor, sender: int) -> Tensor:
        if self.size > 1:
            distributed.broadcast(tensor, src=sender, group=self.members)
        return tensor


ALONE = Group()


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that torchrun has started this process in.

    One that ends before all are there is not noticed but by its absence.
    """
    backends = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backends, timeout=JOINING)
    machines = int(os.environ["GROUP_WORLD_SIZE"])
    members = distributed.new_group(backend=backends, timeout=PATIENCE)
    assert isinstance(members, distributed.ProcessGroup)
    try:
        yield Group(
            distributed.get_rank(),
            distributed.get_world_size(),
            socket.gethostname() if machines > 1 else HERE,
            members,
        )
    finally:
        distributed.destroy_process_group()
