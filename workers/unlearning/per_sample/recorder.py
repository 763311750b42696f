"""Watching a forward pass: every operation that takes a parameter goes through here.

An operation on parameters and constants makes an expression. One where parameters meet the samples
is handed to its rule. Where there is no rule, or the rule does not know the case, the operation is
carried out as it is and its parameters are noted as uncovered. So every parameter that the network
uses is accounted for; one that no operation ever takes has no gradient.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from models.errors import NotEvaluable
from workers.unlearning.per_sample import direct
from workers.unlearning.per_sample.attention import multi_head_attention
from workers.unlearning.per_sample.call import Call, NotCovered
from workers.unlearning.per_sample.convolution import convolution
from workers.unlearning.per_sample.coupling import refuse_coupling
from workers.unlearning.per_sample.embedding import embedding
from workers.unlearning.per_sample.linear import linear
from workers.unlearning.per_sample.normalisation import batch_norm, group_norm, layer_norm
from workers.unlearning.per_sample.tape import Expression, Parts, Tape

RULES: Mapping[Callable[..., Any], Callable[..., Any]] = {
    functional.linear: linear,
    functional.conv1d: convolution,
    functional.conv2d: convolution,
    functional.conv3d: convolution,
    functional.batch_norm: batch_norm,
    functional.layer_norm: layer_norm,
    functional.group_norm: group_norm,
    functional.embedding: embedding,
    functional.multi_head_attention_forward: multi_head_attention,
    **direct.RULES,
}


def record(network: nn.Module, inputs: Tensor, parts: Parts) -> tuple[Tensor, "Recorder"]:
    """Run the network forward, and note how its parameters meet the samples.

    It is given a copy of the inputs: it may change them, and whoever calls needs them afterwards.
    """
    inputs = inputs.clone()
    recorder = Recorder(network, inputs, Tape(len(inputs), parts))
    with recorder:
        logits = network(inputs)
    return logits, recorder


class Recorder(TorchFunctionMode):
    """Sees every call of a torch function while it is entered."""

    def __init__(self, network: nn.Module, inputs: Tensor, tape: Tape) -> None:
        super().__init__()
        self.tape = tape
        self._device = inputs.device.type
        self._has_autocast = torch.amp.is_autocast_available(self._device)
        self._expressions = {
            id(parameter): Expression(parameter, {name: parameter})
            for name, parameter in network.named_parameters()
        }
        # Tensors of the samples that autograd does not follow yet, by their identity, which is
        # theirs alone for as long as they are kept here.
        self._unfollowed = {id(inputs): inputs}
        # What stands for a parameter in the graph of its expressions.
        self._leaves: dict[str, Tensor] = {}
        # Parameters that no operation has used so far whose gradients are seen here: those within
        # an `autograd.Function` are not.
        self.untaken = {name for name, _ in network.named_parameters()}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carry the operation out, and note what it means for the parameters."""
        del types
        kwargs = kwargs or {}
        involved: dict[int, Expression] = {}
        meets_samples = False
        for tensor in _tensors((*args, *kwargs.values())):
            expression = self._expressions.get(id(tensor))
            if expression is not None:
                involved[id(tensor)] = expression
                if torch.is_grad_enabled():
                    self.untaken.difference_update(expression.leaves)
            elif tensor.requires_grad or id(tensor) in self._unfollowed:
                meets_samples = True
        refuse_coupling(func, args, kwargs, of_parameters=bool(involved) and not meets_samples)
        if involved and meets_samples:
            return self._meet(func, args, kwargs, involved)
        if involved:
            return self._express(func, args, kwargs, involved)
        result = func(*args, **kwargs)
        if meets_samples:
            self._keep_unfollowed(result, _written(func, args))
        return result

    def require_all_noticed(self) -> None:
        """Raise `NotEvaluable` if gradients have reached a parameter past all rules."""
        missed = [name for name, leaf in self._leaves.items() if leaf.grad is not None]
        if missed:
            raise NotEvaluable(
                f"No per-sample gradients can be found of {', '.join(missed)}: what is computed "
                "from them meets the samples in a way that is not known."
            )

    def _is_autocast(self) -> bool:
        """Whether operations convert what they are given, which a rule knows nothing of."""
        return self._has_autocast and torch.is_autocast_enabled(self._device)

    def _keep_unfollowed(self, *results: Any) -> None:
        self._unfollowed.update((id(t), t) for t in _tensors(results) if not t.requires_grad)

    def _meet(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        involved: Mapping[int, Expression],
    ) -> Any:
        rule = None if self._is_autocast() else RULES.get(func)
        call = Call(func, self.tape, involved, self)
        if rule is not None and _accepts(rule, call, *args, **kwargs):
            with contextlib.suppress(NotCovered):
                result = rule(call, *args, **kwargs)
                self._keep_unfollowed(result)
                return result
        for expression in involved.values():
            self.tape.give_up(*expression.leaves)
        for tensor in _written(func, args):
            if id(tensor) in involved:
                names = ", ".join(involved[id(tensor)].leaves)
                raise NotEvaluable(
                    f"No per-sample gradients can be found of {names}: the samples are written "
                    "into a tensor that is computed from them."
                )
        args, kwargs = _replaced(args, call.value), _replaced(kwargs, call.value)
        result = func(*args, **kwargs)
        self._keep_unfollowed(result, _written(func, args))
        return result

    def _express(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        involved: Mapping[int, Expression],
    ) -> Any:
        leaves: dict[str, Tensor] = {}
        for expression in involved.values():
            name = expression.parameter
            leaves |= expression.leaves if name is None else {name: self._leaf(name, expression)}

        def stand_in(tensor: Tensor) -> Tensor:
            expression = involved.get(id(tensor))
            name = None if expression is None else expression.parameter
            return tensor if name is None else leaves[name]

        result = func(*_replaced(args, stand_in), **_replaced(kwargs, stand_in))
        written = _written(func, args)
        for tensor in _tensors((result, written)):
            if tensor.requires_grad:
                self._expressions[id(tensor)] = Expression(tensor, leaves)
            target = involved.get(id(tensor))
            if target is not None and leaves.keys() != target.leaves.keys():
                # An expression was changed in place, and whatever it is a view of with it.
                self.tape.give_up(*leaves)
        for target in filter(None, (involved.get(id(tensor)) for tensor in written)):
            # Gradients of what samples have met go back through the graph as it is by then.
            self.tape.give_up(*self.tape.used(target))
        return result

    def _leaf(self, name: str, expression: Expression) -> Tensor:
        if name not in self._leaves:
            self._leaves[name] = expression.value.detach().requires_grad_()
        return self._leaves[name]


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors among arguments or results, in lists and tuples too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _replaced(values: Any, replace: Callable[[Tensor], Tensor]) -> Any:
    """Arguments with every tensor among them replaced."""
    if isinstance(values, Tensor):
        return replace(values)
    if isinstance(values, dict):
        return {name: _replaced(value, replace) for name, value in values.items()}
    if type(values) in (list, tuple):
        return type(values)(_replaced(value, replace) for value in values)
    return values


def _accepts(rule: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    """Whether the rule takes such arguments: its parameters are the cases it knows."""
    try:
        inspect.signature(rule).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _written(func: Callable[..., Any], args: tuple[Any, ...]) -> list[Tensor]:
    """What the function changes in place: its first argument, and what that is a view of."""
    name = getattr(func, "__name__", "")
    in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    if not in_place or not args or not isinstance(args[0], Tensor):
        return []
    base = args[0]._base  # noqa: SLF001  (what a view is a view of has no other name)
    return [args[0]] if base is None else [args[0], base]
