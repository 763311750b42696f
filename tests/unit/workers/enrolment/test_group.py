"""Processes that sum together: what one of them finds wrong ends it for all, and is told to all."""

import multiprocessing
import socket
from collections.abc import Callable, Iterable
from datetime import timedelta
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from models.errors import DatasetUnreadable, RankRefused
from models.settings import Settings
from models.specifications import DigitsSpec, Preprocessing
from tests.support.ports import free_port
from workers.datasets import open_dataset
from workers.enrolment import group, shards
from workers.enrolment.group import ALONE, Group, joined
from workers.enrolment.portions import Portion
from workers.enrolment.shardlog import ShardLogs
from workers.enrolment.shards import sum_portions
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import label_free
from workers.unlearning.importances import Sums, zero_sums

CPU = torch.device("cpu")
Part = Callable[[Group], Any]


def _take_part(
    rank: int, size: int, machines: int, port: int, part: Part, said: "Queue[Any]"
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RANK": rank,
            "WORLD_SIZE": size,
            "GROUP_WORLD_SIZE": machines,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }.items():
            patch.setenv(name, str(value))
        with joined(CPU) as all_of_them:
            try:
                said.put((rank, part(all_of_them)))
            except RankRefused as error:
                said.put((rank, (error.kind, str(error))))


def together(size: int, part: Part, *, machines: int | None = None) -> list[Any]:
    """What each of so many processes returns, or is told to be wrong, by rank.

    Each is a machine of its own unless there are so many machines.
    """
    context = multiprocessing.get_context("fork")
    said: Queue[Any] = context.Queue()
    port = free_port()
    processes = [
        context.Process(target=_take_part, args=(rank, size, machines or size, port, part, said))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    found = dict(said.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return [found[rank] for rank in range(size)]


def test_all_have_what_the_first_one_has_and_the_sums_of_all() -> None:
    def part(of: Group) -> Any:
        sums = {"a": torch.full((2,), 10.0**of.rank, dtype=torch.float64)}
        of.add_up(sums)
        told = bytes(of.bytes_of_first(b"the job" if of.is_first else b""))
        return of.number_of_first(of.rank + 7), told, sums["a"].tolist(), of.share(list(range(7)))

    assert together(3, part) == [
        (7, b"the job", [111.0, 111.0], [0, 3, 6]),
        (7, b"the job", [111.0, 111.0], [1, 4]),
        (7, b"the job", [111.0, 111.0], [2, 5]),
    ]


def test_what_several_find_wrong_is_told_to_all_in_the_words_of_the_first_of_them() -> None:
    def part(of: Group) -> Any:
        def work() -> int:
            if of.rank:
                raise DatasetUnreadable(f"Rank {of.rank} cannot read it.")
            return 3

        return of.all_do(work)

    told = ("dataset-unreadable", f"On {socket.gethostname()}: Rank 1 cannot read it.")
    assert together(3, part) == [told, told, told]


def test_what_nobody_expected_is_told_without_what_it_quotes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def part(of: Group) -> Any:
        def work() -> None:
            if of.rank:
                raise ValueError("person-7")

        of.all_do(work)

    first, second = together(2, part)
    assert first == second
    assert first[0] == "internal-error"
    assert first[1].startswith(f"On {socket.gethostname()}: ValueError in work (line ")
    assert "person-7" not in f"{first}{capfd.readouterr()}"


def test_all_go_on_with_what_each_has_found() -> None:
    assert together(2, lambda of: of.all_do(lambda: of.rank * 10)) == [0, 10]


def test_one_that_is_alone_finds_and_raises_what_it_does() -> None:
    def refuse() -> None:
        raise DatasetUnreadable("It cannot be read.")

    assert ALONE.all_do(lambda: 5) == 5
    assert (ALONE.is_first, ALONE.share([1, 2, 3]), ALONE.number_of_first(4)) == (
        True,
        [1, 2, 3],
        4,
    )
    with pytest.raises(DatasetUnreadable, match=r"^It cannot be read\.$"):
        ALONE.all_do(refuse)


def test_those_that_do_not_come_are_not_waited_for_as_long_as_those_that_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group, "JOINING", timedelta(seconds=1))
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "GROUP_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(distributed.DistError), joined(CPU):
        pass


def test_of_a_single_machine_nobody_is_told_the_name() -> None:
    def part(of: Group) -> Any:
        def work() -> None:
            if of.rank:
                raise DatasetUnreadable("It cannot be read.")

        of.all_do(work)

    told = ("dataset-unreadable", "It cannot be read.")
    assert together(2, part, machines=1) == [told, told]


def test_those_that_have_come_are_waited_for_as_long_as_it_takes_to_say_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group, "PATIENCE", timedelta(seconds=1))
    given_up = multiprocessing.get_context("fork").Event()

    def part(of: Group) -> Any:
        if of.rank:
            # Who is patient for longer than that hears something after all.
            given_up.wait(timeout=20)
        try:
            return of.all_do(lambda: "something")
        except RuntimeError:
            given_up.set()
            return "in vain"

    assert together(2, part) == ["in vain", "in vain"]


def test_what_nobody_expected_is_logged_where_it_was_without_what_it_quotes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def part(of: Group) -> Any:
        def work() -> None:
            if of.rank:
                raise ValueError(f"person-{6 + of.rank}")

        with pytest.raises(RankRefused):
            of.all_do(work)
        return caplog.text

    first, second = together(2, part)
    assert first == ""
    assert "ValueError (message withheld)" in second
    assert ", in work" in second
    assert "person-7" not in second


@pytest.fixture
def no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are taken and summed to nothing: what gradients need does not outlive a fork."""

    def take(network: nn.Module, batches: Iterable[Batch], **_others: Any) -> Sums:
        assert list(batches)
        return zero_sums(network)

    monkeypatch.setattr(shards, "fisher_sums", take)


def summing(of: Group, folder: Path) -> list[int]:
    """Take part in the sums over four digits, in shards of two; what is told to be done.

    Every process has a folder of its own; in the first one's the first shard is noted already.
    """
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    logs = ShardLogs(folder / str(of.rank) / "log", 2)
    portion = Portion(None, [(position, 0) for position in range(4)])
    if of.is_first:
        logs.of(portion).write(zero_sums(network), 1)
    dataset = open_dataset(DigitsSpec(), Preprocessing(size=8, channels=1, mean=[0], std=[1]))
    told: list[int] = []
    sum_portions(network, label_free(), dataset, [portion], logs, Settings(), told.append, of)
    if of.is_first:
        logs.read_all(portion, network)
    return told


def test_all_go_on_where_the_notes_of_the_first_one_end_and_only_that_one_writes(
    tmp_path: Path, no_gradients: None
) -> None:
    # Two were done, and each of two processes tells of one more as if it were both.
    assert together(2, lambda of: summing(of, tmp_path)) == [[2, 2], [2, 2]]
    assert [folder.name for folder in tmp_path.iterdir()] == ["0"]


def test_that_a_process_which_reads_for_one_of_them_has_died_is_told_to_all(
    tmp_path: Path, no_gradients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: Any, **_others: Any) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    def part(of: Group) -> Any:
        if of.rank:
            monkeypatch.setattr(shards, "fisher_sums", die)
        return summing(of, tmp_path)

    first, second = together(2, part)
    assert first == second
    assert first[0] == "reader-died"
