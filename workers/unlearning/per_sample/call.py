"""One operation in which parameters meet the samples, as its rule sees it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from torch import Tensor

from workers.unlearning.per_sample.tape import Expression, Tape

T = TypeVar("T")


class NotCovered(Exception):
    """The rule does not know this case; raised before anything has been done."""


@dataclass(frozen=True)
class Call:
    """The operation, the pass it belongs to, and which of its tensors are expressions."""

    func: Callable[..., Any]
    tape: Tape
    expressions: Mapping[int, Expression]
    # Entering it makes the operations inside go through their own rules.
    recording: AbstractContextManager[Any]

    def expression(self, tensor: Tensor | None) -> Expression | None:
        """What the tensor is an expression of, or None if it depends on no parameter."""
        return None if tensor is None else self.expressions.get(id(tensor))

    def parameter(self, tensor: Tensor | None) -> Expression | None:
        """The expression of a tensor, where only a parameter itself will do."""
        expression = self.expression(tensor)
        if expression is not None and expression.parameter is None:
            raise NotCovered
        return expression

    def require_constant(self, *tensors: Tensor) -> None:
        """Raise `NotCovered` if one of these depends on parameters."""
        if any(id(tensor) in self.expressions for tensor in tensors):
            raise NotCovered

    def value(self, argument: T) -> T:
        """The argument, with autograd not following an expression back to its parameters."""
        expression = self.expressions.get(id(argument))
        return argument if expression is None else cast("T", expression.value.detach())

    def by_sample(self, tensor: Tensor) -> Tensor:
        """[size · k, …] as [size, k, …]."""
        if tensor.dim() == 0 or tensor.shape[0] % self.tape.size:
            raise NotCovered
        rows = tensor.shape[0] // self.tape.size
        return tensor.reshape(self.tape.size, rows, *tensor.shape[1:])
