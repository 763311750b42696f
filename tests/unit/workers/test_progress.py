"""Progress: how far a step is, and how long it will still take."""

import pytest

from workers import progress
from workers.progress import Progress, Tracker


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _told(clock: Clock, total: int, steps: list[tuple[float, int]]) -> list[Progress]:
    """What is told when so many seconds pass before so many more are done, again and again."""
    told: list[Progress] = []
    tracker = Tracker("weigh", total, told.append)
    for seconds, count in steps:
        clock.now += seconds
        tracker.advance(count)
    return told


def test_the_time_left_is_that_of_the_rate_so_far(clock: Clock) -> None:
    told = _told(clock, 100, [(1, 10), (1, 10), (2, 20)])
    assert [each.done for each in told] == [0, 10, 20, 40]
    assert [each.eta_s for each in told] == [None, None, 8, 6]


def test_what_was_done_before_by_somebody_else_makes_nobody_faster(clock: Clock) -> None:
    # 900 are found in its notes, at once; then it does ten a second.
    told = _told(clock, 1000, [(1, 900), (1, 10), (1, 10)])
    assert [each.eta_s for each in told] == [None, None, 9, 8]


def test_the_time_left_follows_a_rate_that_changes(clock: Clock) -> None:
    fast, slow = [(1.0, 100)] * 60, [(1.0, 10)] * 70
    told = _told(clock, 10_000, fast + slow)
    assert told[60].eta_s == pytest.approx((10_000 - 6_000) / 100)
    assert told[-1].eta_s == pytest.approx((10_000 - 6_700) / 10)


def test_the_time_left_of_a_step_that_tells_seldom_is_known_too(clock: Clock) -> None:
    told = _told(clock, 5, [(600, 1)] * 4)
    assert [each.eta_s for each in told] == [None, None, 1800, 1200, 600]


def test_while_nothing_is_done_there_is_no_saying_how_long_it_takes(clock: Clock) -> None:
    told = _told(clock, 10, [(1, 0), (1, 0), (1, 5), (1, 5)])
    assert [each.eta_s for each in told] == [None, None, None, 2, 0]


def test_it_is_told_at_a_bounded_rate_and_at_the_end(clock: Clock) -> None:
    told = _told(clock, 10, [(0.1, 1)] * 10)
    assert [each.done for each in told] == [0, 5, 10]


def test_a_pass_that_is_done_again_counts_no_sample_twice(clock: Clock) -> None:
    assert [each.done for each in _told(clock, 10, [(1, 8), (1, 8)])] == [0, 8, 10]
