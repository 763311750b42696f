"""Times of several ways to do the same, taken in turns."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Run = Callable[[], object]
Clock = Callable[[], float]


def interleaved(runs: Mapping[str, Run], repetitions: int) -> dict[str, float]:
    """Median seconds of each, taken in turns after one run of each that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repetitions):
        for name, run in runs.items():
            finish()
            started = time.perf_counter()
            run()
            finish()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def clock_of(device: torch.device) -> Clock:
    """What seconds of one run there are taken by.

    A processor's own, of all threads together: of a single thread these are hardly lengthened by
    other work on the machine. What a GPU does they do not count.
    """
    return time.process_time if device.type == "cpu" else time.perf_counter


def finish() -> None:
    """Wait for what a GPU was given to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
