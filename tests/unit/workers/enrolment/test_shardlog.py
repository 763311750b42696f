"""The log of a pass: its sums come back whole, or none do."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models.errors import ShardsMissing
from workers.enrolment.portions import Portion
from workers.enrolment.shardlog import ShardLog, ShardLogs, fingerprint
from workers.unlearning.importances import Sums, zero_sums

NETWORK = nn.Linear(2, 1)
SUMS = {
    "weight": torch.tensor([[1.5, 2.0]], dtype=torch.float64),
    "bias": torch.tensor([0.25], dtype=torch.float64),
}


@pytest.fixture
def log(tmp_path: Path) -> ShardLog:
    """A log of three shards."""
    written = ShardLog(tmp_path / "enrolments" / "log.safetensors", "some samples")
    written.write(SUMS, 3)
    return written


def require_same(found: Sums, expected: Sums) -> None:
    """To the last bit."""
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def require_none(log: ShardLog, network: nn.Module) -> None:
    """Nothing can be gone on from."""
    sums, done = log.read(network)
    assert done == 0
    require_same(sums, zero_sums(network))


def test_what_was_written_is_read(log: ShardLog) -> None:
    sums, done = log.read(NETWORK)
    assert done == 3
    require_same(sums, SUMS)
    require_same(log.read_all(NETWORK, 3), SUMS)


def test_what_was_written_last_is_read_and_nothing_else_is_left(log: ShardLog) -> None:
    log.write(zero_sums(NETWORK), 4)
    require_same(log.read_all(NETWORK, 4), zero_sums(NETWORK))
    assert list(log.path.parent.iterdir()) == [log.path]


def test_a_log_that_is_not_there_has_no_shards(log: ShardLog) -> None:
    log.path.unlink()
    require_none(log, NETWORK)


def test_a_log_that_is_cut_short_has_no_shards(log: ShardLog) -> None:
    content = log.path.read_bytes()
    for length in range(len(content)):
        log.path.write_bytes(content[:length])
        require_none(log, NETWORK)


def test_wherever_a_bit_flips_a_log_has_no_shards(log: ShardLog) -> None:
    content = log.path.read_bytes()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        log.path.write_bytes(damaged)
        require_none(log, NETWORK)


@pytest.mark.parametrize(
    "other",
    [nn.Linear(1, 2), nn.Linear(2, 1, bias=False), nn.Sequential(nn.Linear(2, 1))],
    ids=["other shapes", "fewer names", "other names"],
)
def test_the_log_of_another_network_has_no_shards(log: ShardLog, other: nn.Module) -> None:
    require_none(log, other)


@pytest.mark.parametrize("shards", [2, 4])
def test_all_shards_are_those_that_are_asked_for(log: ShardLog, shards: int) -> None:
    with pytest.raises(ShardsMissing, match=f"holds 3 of {shards} shards"):
        log.read_all(NETWORK, shards)


def test_all_shards_of_no_log_are_missing(log: ShardLog) -> None:
    log.path.unlink()
    with pytest.raises(ShardsMissing, match="holds 0 of 3 shards"):
        log.read_all(NETWORK, 3)


def test_the_log_of_other_samples_has_no_shards(log: ShardLog) -> None:
    require_none(ShardLog(log.path, "other samples"), NETWORK)


def test_every_portion_has_a_log_of_its_own_samples_in_shards_of_one_size(tmp_path: Path) -> None:
    samples = [(position, 3) for position in range(5)]
    portions = [Portion(3, samples), Portion(4, samples), Portion(None, samples)]
    logs = ShardLogs(tmp_path / "one", 2)
    paths = [logs.of(portion).path for portion in portions]
    assert len(set(paths)) == 3
    assert {path.parent for path in paths} == {tmp_path}
    mine = logs.of(portions[0])
    mine.write(SUMS, 3)
    require_same(logs.read_all(portions[0], NETWORK), SUMS)
    fewer, other_size = Portion(3, samples[:-1]), ShardLogs(logs.path, 3)
    for log in (logs.of(fewer), other_size.of(portions[0])):
        assert log.path == mine.path
        require_none(log, NETWORK)
    with pytest.raises(ShardsMissing, match="holds 0 of 2 shards"):
        logs.read_all(fewer, NETWORK)


def test_what_could_not_be_put_in_its_place_is_not_left_beside_it(tmp_path: Path) -> None:
    log = ShardLog(tmp_path / "log.safetensors", "some samples")
    log.path.mkdir()
    with pytest.raises(IsADirectoryError):
        log.write(SUMS, 3)
    assert list(tmp_path.iterdir()) == [log.path]


def test_all_logs_of_an_enrolment_are_discarded_and_no_others(tmp_path: Path) -> None:
    mine, other = ShardLogs(tmp_path / "one", 2), ShardLogs(tmp_path / "another", 2)
    portions = [Portion(label, [(0, 0)]) for label in (3, 12, None)]
    for logs in (mine, other):
        for portion in portions:
            logs.of(portion).write(SUMS, 1)
    mine.discard()
    mine.discard()
    assert sorted(tmp_path.iterdir()) == sorted(other.of(portion).path for portion in portions)


def test_a_fingerprint_is_of_names_and_values_and_not_of_their_order() -> None:
    assert fingerprint(one=1, two=2) == fingerprint(two=2, one=1)
    assert len({fingerprint(one=1), fingerprint(one=2), fingerprint(two=1)}) == 3
