"""Multi-head attention against the loop: taken apart where it is plain self-attention."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    randn,
    randomised,
)

# Of the library's own attention under vmap: it says that it is slow, not that it is wrong.
slow = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")

NAMES = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]


def _layer(heads: int, width: int, **options: Any) -> nn.Module:
    layer = nn.MultiheadAttention(heads * width, heads, **options)
    # Fresh biases are zeros.
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


@settings(max_examples=30)
@given(
    samples=st.integers(0, 4),
    positions=st.integers(1, 5),
    heads=st.integers(1, 3),
    width=st.integers(1, 3),
    bias=st.booleans(),
    need_weights=st.booleans(),
    behind=st.booleans(),
)
def test_self_attention_is_exact_with_and_without_weights_asked_for(
    samples: int,
    positions: int,
    heads: int,
    width: int,
    bias: bool,
    need_weights: bool,
    behind: bool,
) -> None:
    def attend(m: Any, x: Tensor) -> Tensor:
        x = x * m.scale if behind else x
        return m.layer(x, x, x, need_weights=need_weights)[0]  # type: ignore[no-any-return]

    layer = _layer(heads, width, batch_first=True, bias=bias, dropout=0.1)
    scale = {"scale": randn(heads * width)} if behind else {}
    network = Formula(attend, layer=layer, **scale)
    names = [f"layer.{name}" for name in NAMES if bias or not name.endswith("bias")]
    assert_equals_the_loop(
        network,
        randn(samples, positions, heads * width, seed=1),
        fallback=names if need_weights else [],
    )


@pytest.mark.parametrize("need_weights", [False, True])
def test_attention_that_takes_positions_first_is_exact(need_weights: bool) -> None:
    def attend(m: Any, x: Tensor) -> Tensor:
        across = x.transpose(0, 1)
        found: Tensor = m.layer(across, across, across, need_weights=need_weights)[0]
        return found.transpose(0, 1)

    network = Formula(attend, layer=_layer(2, 3))
    names = [f"layer.{name}" for name in NAMES] if need_weights else []
    # As many positions as samples, and twice as many: nothing tells the dimensions apart by size.
    for positions in (4, 8):
        assert_equals_the_loop(network, randn(4, positions, 6), fallback=names)


@slow
def test_attention_to_something_else_falls_back() -> None:
    network = Formula(
        lambda m, x: m.layer(x, x.flip(1), x.sin(), need_weights=False)[0],
        layer=_layer(2, 3, batch_first=True),
    )
    assert_equals_the_loop(network, randn(4, 3, 6), fallback=[f"layer.{name}" for name in NAMES])


@slow
@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_attention_with_more_than_plain_parts_falls_back(options: dict[str, bool]) -> None:
    network = Formula(
        lambda m, x: m.layer(x, x, x, need_weights=False)[0],
        layer=_layer(2, 3, batch_first=True, **options),
    )
    names = [name for name, _ in network.named_parameters()]
    assert_equals_the_loop(network, randn(4, 3, 6), fallback=names)


@slow
def test_attention_with_a_mask_falls_back() -> None:
    mask = torch.ones(3, 3).triu(1).bool()
    network = Formula(
        lambda m, x: m.layer(x, x, x, need_weights=False, attn_mask=mask)[0],
        layer=_layer(2, 3, batch_first=True),
    )
    assert_equals_the_loop(network, randn(4, 3, 6), fallback=[f"layer.{name}" for name in NAMES])


def test_an_encoder_layer_is_exact() -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 5, batch_first=True, norm_first=True)
    network = randomised(Formula(lambda m, x: m.layer(x), layer=layer))
    assert_equals_the_loop(network, randn(4, 3, 6))
