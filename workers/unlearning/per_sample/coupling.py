"""Operations that couple the samples of a batch, are random, or change the parameters.

They are refused, whoever calls them.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from models.errors import NotEvaluable

# Which of its arguments make the operation one of these; torch's own have no signature to ask.
DROPOUTS = (
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    functional.alpha_dropout,
    functional.feature_alpha_dropout,
)
PLAIN_DROPOUTS = (
    torch.dropout,
    torch.dropout_,
    torch.alpha_dropout,
    torch.alpha_dropout_,
    torch.feature_dropout,
    torch.feature_dropout_,
    torch.feature_alpha_dropout,
    torch.feature_alpha_dropout_,
    torch.native_dropout,
)
# What is drawn so is dropped or kept, as torchvision's stochastic depth does, or noise.
DRAWS = (
    torch.bernoulli,
    torch.multinomial,
    torch.normal,
    torch.poisson,
    torch.rand,
    torch.rand_like,
    torch.randint,
    torch.randint_like,
    torch.randn,
    torch.randn_like,
    torch.randperm,
    torch.Tensor.bernoulli,
    torch.Tensor.bernoulli_,
    torch.Tensor.cauchy_,
    torch.Tensor.exponential_,
    torch.Tensor.geometric_,
    torch.Tensor.log_normal_,
    torch.Tensor.multinomial,
    torch.Tensor.normal_,
    torch.Tensor.random_,
    torch.Tensor.uniform_,
)
LOOK_UPS = (functional.embedding, functional.embedding_bag)


def refuse_coupling(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    of_parameters: bool = False,
) -> None:
    """Raise `NotEvaluable` for what is random or changes parameters, and for batch statistics.

    What is `of_parameters` alone has no samples to take statistics of: so weights are standardised.
    """
    if func in DROPOUTS:
        given = _given(func, args, kwargs)
        _refuse_dropout(given["p"] if given["training"] else 0)
    elif func in PLAIN_DROPOUTS:
        _, p, train = (*args, *kwargs.values())
        _refuse_dropout(p if train else 0)
    elif func in DRAWS:
        _refuse_dropout(1)
    elif func is functional.rrelu:
        _refuse_dropout(_given(func, args, kwargs)["training"])
    elif func is functional.scaled_dot_product_attention:
        _refuse_dropout(kwargs.get("dropout_p", args[4] if len(args) > 4 else 0))
    elif func in LOOK_UPS:
        _refuse_renormalising(_given(func, args, kwargs)["max_norm"])
    elif func is functional.batch_norm and not of_parameters:
        given = _given(func, args, kwargs)
        _refuse_statistics(given["training"] or given["running_mean"] is None)
    elif func is torch.batch_norm and not of_parameters:
        _refuse_statistics(kwargs.get("training", args[5] if len(args) > 5 else True))


def _given(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    bound = inspect.signature(func).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _refuse_dropout(probability: float) -> None:
    if probability:
        raise NotEvaluable(
            "The network drops or changes activations at random, so its gradients are random too. "
            "Call network.eval(), and let functional.dropout follow self.training."
        )


def _refuse_statistics(of_batch: bool) -> None:
    if of_batch:
        raise NotEvaluable(
            "A batch normalisation uses the statistics of its batch, which couples the samples: "
            "no per-sample gradients exist. Use running statistics (eval mode)."
        )


def _refuse_renormalising(max_norm: float | None) -> None:
    if max_norm is not None:
        raise NotEvaluable(
            "An embedding with max_norm changes its table whenever it is used, so the weights are "
            "not the same for all samples. Renormalise the table once, and build the network "
            "without max_norm."
        )
