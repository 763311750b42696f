"""What seconds are taken by."""

import time

import torch

from benchmarks.tools.timing import clock_of


def test_a_processors_seconds_do_not_count_waiting_and_a_gpus_do() -> None:
    processor, gpu = clock_of(torch.device("cpu")), clock_of(torch.device("cuda"))
    started = processor(), gpu()
    time.sleep(0.2)
    assert processor() - started[0] < 0.1
    assert gpu() - started[1] >= 0.2
