"""Tests of what runs on a GPU. Where CUDA is not available all of them are skipped."""

import pytest
import torch

from workers.resources import require_determinism


def pytest_runtest_setup() -> None:
    """Skip every test of this folder, before its fixtures start any servers."""
    if not torch.cuda.is_available():
        pytest.skip("CUDA is not available: the tests in tests/gpu need a GPU")


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where everything is computed that is compared with the CPU."""
    return torch.device("cuda")


@pytest.fixture(scope="session", autouse=True)
def determinism() -> None:
    """As in a worker: TF32, above all, is off."""
    require_determinism()
