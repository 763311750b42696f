"""What a failure is put down to."""

import errno

import pytest
import torch
from redis.exceptions import ConnectionError as RedisGone
from sqlalchemy.exc import OperationalError

from models.errors import (
    ArtifactDamaged,
    ForgetsTooMuch,
    NothingRetained,
    RunTimedOut,
    SumsMismatch,
)
from models.records import Phase
from workers.transactions.breakdowns import cause_of
from workers.transactions.releases import Cause


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no space"),
        OperationalError("SELECT 1", {}, Exception("gone")),
        RedisGone("gone"),
        MemoryError(),
        torch.OutOfMemoryError("out of memory"),
        ArtifactDamaged("damaged"),
        SumsMismatch("another estimator"),
        RuntimeError("CUDA error: unspecified launch failure"),
        RuntimeError("can't start new thread"),
    ],
)
def test_disks_servers_memory_and_errors_with_a_name_are_surroundings(error: Exception) -> None:
    assert cause_of(error, Phase.WEIGH) is Cause.ITS_SURROUNDINGS


@pytest.mark.parametrize("error", [ValueError("?"), ZeroDivisionError(), RunTimedOut("too long")])
def test_what_nobody_foresaw_and_what_takes_too_long_may_be_the_samples(error: Exception) -> None:
    assert cause_of(error, Phase.WEIGH) is Cause.ITS_SAMPLES


@pytest.mark.parametrize("phase", [None, *(phase for phase in Phase if phase is not Phase.WEIGH)])
def test_what_takes_too_long_after_weighing_is_not_put_down_to_the_samples(
    phase: Phase | None,
) -> None:
    assert cause_of(RunTimedOut("too long"), phase) is Cause.ITS_SURROUNDINGS


@pytest.mark.parametrize("error", [ForgetsTooMuch("half"), NothingRetained("all")])
def test_what_would_fail_in_the_same_way_for_ever_has_no_cause_that_may_pass(
    error: Exception,
) -> None:
    assert cause_of(error, Phase.WEIGH) is None


def test_before_a_sample_was_touched_nothing_is_put_down_to_the_samples() -> None:
    assert cause_of(ValueError("?"), Phase.LOAD) is Cause.ITS_SURROUNDINGS
    assert cause_of(ForgetsTooMuch("half"), Phase.LOAD) is None
    assert cause_of(ValueError("?"), None) is Cause.ITS_SAMPLES
