"""From a file of images to the GPU, read by this process and by others."""

from pathlib import Path

import pytest
import torch

from tests.unit.workers.test_loading import require_in_order, require_named


@pytest.mark.parametrize("loaders", [0, 2])
def test_samples_that_are_read_ahead_arrive_in_order_and_unmixed(
    device: torch.device, tmp_path: Path, loaders: int
) -> None:
    require_in_order(tmp_path, device, loaders)


@pytest.mark.parametrize("loaders", [0, 2])
def test_an_image_that_cannot_be_read_is_named_by_its_position(
    device: torch.device, tmp_path: Path, loaders: int
) -> None:
    require_named(tmp_path, device, loaders)
