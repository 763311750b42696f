"""Multi-head self-attention, taken apart: its two linear layers have a rule of their own."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workers.unlearning.per_sample.call import Call, NotCovered

# What the plain case of self-attention leaves as it is, and anything else is not covered.
PLAIN = {
    "key_padding_mask": None,
    "use_separate_proj_weight": False,
    "q_proj_weight": None,
    "k_proj_weight": None,
    "v_proj_weight": None,
    "static_k": None,
    "static_v": None,
    "training": False,
}


def multi_head_attention(
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    average_attn_weights: bool = True,
    **others: Any,
) -> tuple[Tensor, None]:
    """`functional.multi_head_attention_forward` of [positions, samples, width] with itself."""
    del embed_dim_to_check, dropout_p, average_attn_weights
    itself = query is key and key is value and query.dim() == 3
    extra = need_weights or add_zero_attn or attn_mask is not None or is_causal
    if not itself or extra or in_proj_weight is None or bias_k is not None or bias_v is not None:
        raise NotCovered
    if any(value is not PLAIN.get(name) for name, value in others.items()):
        raise NotCovered
    positions, samples, width = query.shape
    with call.recording:
        # The rule for linear layers wants the samples first.
        projected = functional.linear(query.transpose(0, 1), in_proj_weight, in_proj_bias)
        heads = projected.view(samples, positions, 3, num_heads, width // num_heads)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        output = functional.linear(
            attended.transpose(1, 2).reshape(samples, positions, width),
            out_proj_weight,
            out_proj_bias,
        )
    return torch.transpose(output, 0, 1), None
