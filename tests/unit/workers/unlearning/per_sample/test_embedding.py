"""Embeddings against the loop: repeated rows, padding, folded look-ups."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.errors import NotEvaluable
from tests.unit.workers.unlearning.oracles import (
    Formula,
    assert_equals_the_loop,
    labelled,
    randn,
)
from workers.unlearning.estimators import empirical
from workers.unlearning.exactness import require_exact
from workers.unlearning.importances import fisher_sums


def _tokens(rows: int, *sizes: int) -> torch.Tensor:
    return torch.randint(rows, sizes, generator=torch.Generator().manual_seed(0))


@settings(max_examples=50)
@given(
    samples=st.integers(0, 5),
    positions=st.lists(st.integers(1, 5), max_size=2),
    rows=st.integers(1, 5),
    width=st.integers(1, 4),
    padding=st.booleans(),
    batch_size=st.integers(1, 5),
)
def test_an_embedding_is_exact_with_repeated_tokens_and_padding(
    samples: int, positions: list[int], rows: int, width: int, padding: bool, batch_size: int
) -> None:
    # Few rows and many tokens: they are looked up again and again, by one sample and by several.
    padding_idx = rows - 1 if padding else None
    layer = nn.Embedding(rows, width, padding_idx=padding_idx)
    nn.init.normal_(layer.weight)
    network = Formula(lambda m, x: m.layer(x), layer=layer)
    assert_equals_the_loop(network, _tokens(rows, samples, *positions), batch_size=batch_size)


def test_a_padding_index_from_the_end_is_exact() -> None:
    network = Formula(
        lambda m, x: nn.functional.embedding(x, m.table, padding_idx=-2), table=randn(5, 3)
    )
    assert_equals_the_loop(network, _tokens(5, 4, 9))


def test_tokens_folded_into_the_first_dimension_stay_their_samples() -> None:
    network = Formula(
        lambda m, x: m.layer(x.flatten()).reshape(len(x), -1), layer=nn.Embedding(4, 3)
    )
    assert_equals_the_loop(network, _tokens(4, 3, 5))


def test_tokens_computed_from_the_samples_are_exact() -> None:
    network = Formula(
        lambda m, x: m.layer((x > 0).long()) * m.scale, layer=nn.Embedding(2, 3), scale=randn(3)
    )
    assert_equals_the_loop(network, randn(4, 6))


def test_the_same_look_up_for_every_sample_is_exact() -> None:
    network = Formula(lambda m, x: x + m.layer(torch.arange(5) // 2), layer=nn.Embedding(3, 4))
    assert_equals_the_loop(network, randn(4, 5, 4))


def test_an_embedding_that_is_also_the_output_layer_squares_its_whole_gradient() -> None:
    network = Formula(
        lambda m, x: nn.functional.linear(m.layer(x), m.layer.weight), layer=nn.Embedding(5, 3)
    )
    assert_equals_the_loop(network, _tokens(5, 4, 2), fallback=["layer.weight"])


def test_rows_taken_by_an_index_fall_back() -> None:
    network = Formula(lambda m, x: m.table[x], table=randn(4, 3))
    assert_equals_the_loop(network, _tokens(4, 3, 5), fallback=["table"])


def test_a_table_of_no_width_is_exact() -> None:
    network = Formula(
        lambda m, x: torch.cat([m.layer(x), nn.functional.embedding(x, m.empty)], dim=2),
        layer=nn.Embedding(4, 3),
        empty=randn(4, 0),
    )
    assert_equals_the_loop(network, _tokens(4, 3, 5))


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("constant", [False, True])
def test_a_table_that_is_renormalised_when_it_is_used_is_refused_and_left_as_it_was(
    kind: type[nn.Embedding | nn.EmbeddingBag], constant: bool
) -> None:
    layer = kind(4, 3, max_norm=0.1)
    before = layer.weight.detach().clone()
    # Of constant rows too: these do not meet the samples.
    rows = torch.arange(4)[None] if constant else None
    network = Formula(
        lambda m, x: m.layer(x if rows is None else rows) + x.sum(), layer=layer
    ).eval()
    samples = labelled(_tokens(4, 3, 5))
    with pytest.raises(NotEvaluable, match="without max_norm"):
        fisher_sums(network, [samples])
    with pytest.raises(NotEvaluable, match="without max_norm"):
        require_exact(network, samples, empirical(), [3])
    assert torch.equal(layer.weight, before)
