"""Networks that no weights fit: of shared tensors, or of numbers that no checkpoint holds."""

import pytest
import torch
from torch import nn

from models.errors import WeightsMismatch
from models.specifications import ArchitectureSpec
from workers.weights import check_weights

SPEC = ArchitectureSpec(name="tied", num_classes=4)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


def test_a_network_that_shares_a_tensor_is_refused_with_both_its_names() -> None:
    tied = network()
    tied[2].weight = tied[0].weight
    with pytest.raises(WeightsMismatch, match=r"tied shares memory between '0\.weight' and '2\."):
        check_weights(tied.state_dict(), tied, SPEC)


def test_two_parameters_over_one_memory_are_refused_too() -> None:
    tied = network()
    tied[2].weight = nn.Parameter(tied[0].weight.data[:, :3])
    with pytest.raises(WeightsMismatch, match=r"'0\.weight' and '2\.weight'"):
        check_weights(tied.state_dict(), tied, SPEC)


def test_parameters_side_by_side_in_one_memory_share_nothing() -> None:
    flat, apart = torch.zeros(32), network()
    apart[0].weight = nn.Parameter(flat[:16].view(4, 4))
    apart[2].weight = nn.Parameter(flat[16:].view(4, 4))
    check_weights(apart.state_dict(), apart, SPEC)


def test_tensors_that_are_alike_are_not_shared() -> None:
    apart = network()
    apart[2].load_state_dict(apart[0].state_dict())
    check_weights(apart.state_dict(), apart, SPEC)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.uint16, torch.float8_e4m3fn])
def test_tensors_that_no_checkpoint_can_hold_are_refused_by_name_and_format(
    dtype: torch.dtype,
) -> None:
    odd = network()
    odd.register_buffer("odd", torch.zeros(3).to(dtype))
    with pytest.raises(WeightsMismatch, match=rf"'odd' is {dtype}, which .* float32, float16"):
        check_weights(odd.state_dict(), odd, SPEC)
