"""What is noted of one forward pass, and what happens when its gradients come back.

An *expression* is a tensor that depends on parameters and on nothing of the samples: a parameter
itself, or something computed from parameters (a table looked up, a clamp, a whole small network on
constant coordinates). Where an expression meets the samples, its per-sample gradients are found
like those of a parameter, and are then carried back through the expression's own graph.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from workers.unlearning.per_sample.window import Window

Hook = Callable[[Tensor], None]
# Rows of a batch, and where their powers are summed.
Parts = Sequence[tuple[slice, Window]]


@dataclass(frozen=True, eq=False)
class Expression:
    """A tensor, and the parameters that it is computed from."""

    value: Tensor
    # Parameter name → what stands for the parameter in the expression's graph.
    leaves: dict[str, Tensor]

    @property
    def parameter(self) -> str | None:
        """The parameter's name, if the expression is nothing but a parameter."""
        if len(self.leaves) == 1:
            ((name, leaf),) = self.leaves.items()
            return name if leaf is self.value else None
        return None

    @property
    def name(self) -> str:
        """The name of the parameter that it is."""
        (name,) = self.leaves
        return name


class Tape:
    """One pass over `size` samples."""

    def __init__(self, size: int, parts: Parts) -> None:
        self.size = size
        self._parts = parts
        # Parameters whose gradients must be found in another way.
        self.uncovered: set[str] = set()
        self._uses: Counter[str] = Counter()
        self._pending: list[tuple[Expression, Tensor]] = []

    def use(self, *expressions: Expression | None) -> None:
        """Note that a rule covers this use of the expressions' parameters.

        Of a parameter that is used twice, the gradients have to be added before they are squared.
        """
        for expression in filter(None, expressions):
            self._uses.update(list(expression.leaves))
            self.give_up(*(name for name in expression.leaves if self._uses[name] > 1))

    def used(self, expression: Expression) -> list[str]:
        """Those of the expression's parameters that have met the samples."""
        return [name for name in expression.leaves if self._uses[name]]

    def give_up(self, *names: str) -> None:
        """No rule covers what happens to these parameters."""
        self.uncovered.update(names)

    def covers(self, expression: Expression | None) -> bool:
        """Whether gradients of the expression are still wanted."""
        return expression is not None and not expression.leaves.keys() <= self.uncovered

    def tap(self, output: Tensor, hook: Hook) -> Tensor:
        """`output`, with `hook` called once with its gradient.

        What the hook holds is let go of after the call, as autograd does with what it has saved.
        Where the network has turned gradients off there are none, for parameters neither.
        """
        if not torch.is_grad_enabled():
            return output
        if not output.requires_grad:
            anchor = torch.zeros((), dtype=output.dtype, device=output.device, requires_grad=True)
            output = _Anchor.apply(output, anchor)
        waiting = [hook]

        def once(gradient: Tensor) -> None:
            waiting.pop()(gradient)

        output.register_hook(once)  # type: ignore[no-untyped-call]
        return output

    def add(self, expression: Expression | None, gradients: Callable[[], Tensor]) -> None:
        """Add the samples' gradients [size, *shape of the expression], if they are wanted."""
        if expression is None or not self.covers(expression):
            return
        name = expression.parameter
        if name is not None:
            for window, some in self.parted(gradients()):
                window.add(name, some)
        else:
            self._pending.append((expression, gradients()))

    def parted(self, *tensors: Tensor) -> Iterator[tuple[Any, ...]]:
        """For each part its window, and of every tensor [size, …] the part's rows."""
        for rows, window in self._parts:
            yield window, *(tensor[rows] for tensor in tensors)

    def finish(self) -> None:
        """Carry the gradients of expressions back to their parameters."""
        for expression, gradients in self._pending:
            carried = torch.autograd.grad(
                expression.value,
                list(expression.leaves.values()),
                gradients.reshape(self.size, *expression.value.shape),
                is_grads_batched=True,
                allow_unused=True,
            )
            for name, gradient in zip(expression.leaves, carried, strict=True):
                if gradient is not None and name not in self.uncovered:
                    # Autograd may give two parameters the same tensor, and the window changes it.
                    for window, some in self.parted(gradient.clone()):
                        window.add(name, some)
        self._pending.clear()


class _Anchor(torch.autograd.Function):
    """Makes autograd follow a tensor from here on; in place, and open to in-place changes."""

    @staticmethod
    def forward(ctx: FunctionCtx, output: Tensor, _anchor: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(_ctx: FunctionCtx, _gradient: Tensor) -> tuple[None, None]:
        return None, None
