"""From batches to float64 sums: windows, groups, precision, memory, gradients that are not finite.

A window of samples is summed in float32 and then added in float64. Whatever goes wrong inside a
window (the device runs out of memory, a gradient is NaN) is mended by doing those samples again, in
smaller batches or one by one; the totals hold complete windows only.

Samples of several groups share batches, and each group has a window of its own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from models.errors import NonFiniteGradient
from workers.unlearning.batches import Batch, joined
from workers.unlearning.estimators import Estimator
from workers.unlearning.loops import kernels
from workers.unlearning.loops.compiled import is_compiled
from workers.unlearning.memory import is_out_of_memory
from workers.unlearning.per_sample import Window, add_batch, require_unused, window_dtype

Totals = dict[str, Tensor]

# Samples of a window: enough to make the widening cheap, few enough for float32.
WINDOW = 256
# Bytes of windows at once, if there are several groups.
MOST_BYTES = 1 << 30
# Gradients are scaled so that neither they nor their squares underflow, by a power of 2 that makes
# the largest of a window's first batch about 1. Batches that are up to 2 to this larger or smaller
# may follow; a larger difference would cost accuracy, a smaller one forward passes.
LEEWAY = 8


def windows(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Samples as they come, a window's at a time."""
    waiting: list[Batch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= WINDOW:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


class _Rescale(Exception):
    """A batch's gradients are of another magnitude than those of its window."""


class Summation:
    """Sums over samples, group by group; the samples of a group must come one after another."""

    def __init__(
        self,
        network: nn.Module,
        estimator: Estimator,
        group_of: Callable[[Batch], list[int]],
        *,
        batch_size: int,
        reproducible: bool,
    ) -> None:
        self._network = network
        self._estimator = estimator
        self._group_of = group_of
        self._batch_size = batch_size
        self._reproducible = reproducible
        self._parameters = dict(network.named_parameters())
        # Of groups whose samples have come, and may still come.
        self._totals: dict[int, Totals] = {}
        # Used again and again; those of the groups that are being summed.
        self._spare: list[Window] = []
        self._windows: dict[int, Window] = {}
        # Of these windows: their gradients are 2 to this times the samples', if any is not 0.
        self._exponent: int | None = None

    def sums(self, batches: Iterable[Batch]) -> Iterator[tuple[int, Totals]]:
        """Every group that has samples, as soon as it is complete: float64 by parameter name."""
        for samples in windows(batches):
            for some in self._of_few_groups(samples):
                self._add(some)
                *complete, _ = self._totals
                for group in complete:
                    yield group, self._totals.pop(group)
        yield from self._totals.items()

    def _of_few_groups(self, samples: Batch) -> Iterator[Batch]:
        """Samples as they come, in no more groups at a time than there is memory for."""
        size = sum(
            parameter.numel() * (8 if self._reproducible else window_dtype(parameter).itemsize)
            for parameter in self._parameters.values()
        )
        most = max(1, MOST_BYTES // max(1, size))
        starts = [start for _, start, _ in _runs(self._group_of(samples))]
        for first in range(0, len(starts), most):
            after = starts[first + most] if first + most < len(starts) else len(samples)
            yield samples.part(starts[first], after)

    def _add(self, samples: Batch) -> None:
        """Add these samples, in several windows if their magnitudes differ too much."""
        while len(samples):
            done = self._fill(samples)
            if all(map(_is_finite, self._windows.values())):
                self._fold()
            else:
                self._add_one_by_one(samples.part(0, done))
            samples = samples.part(done, len(samples))

    def _fill(self, samples: Batch) -> int:
        while True:
            self._release()
            try:
                return self._add_batches(samples)
            except (RuntimeError, MemoryError) as error:
                if self._batch_size == 1 or not is_out_of_memory(error):
                    raise
                self._batch_size //= 2
            # Only out here has the failed pass let go of its memory.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _add_batches(self, samples: Batch) -> int:
        done = 0
        while done < len(samples):
            part = samples.part(done, done + self._batch_size)
            count = len(part)
            parts = [
                (slice(start, stop), self._window(group))
                for group, start, stop in _runs(self._group_of(part))
            ]
            part = part.padded(self._size_of_pass(count))
            gradients = self._scaled_gradients(part, count)
            try:
                untaken = add_batch(self._network, part.inputs, gradients, parts)
            except _Rescale:
                break
            # Of every batch, as a network may take other ways with another.
            require_unused(self._network, untaken, part.inputs)
            done += count
        return done

    def _size_of_pass(self, count: int) -> int:
        """How many samples a pass of `count` has when it is filled up."""
        if self._reproducible:
            # Kernels treat every row of a batch alike, but batches of other sizes otherwise.
            return self._batch_size
        # Of these sizes alone it was tried whether samples stay apart (`exactness.py`).
        return min(self._batch_size, 1 << (count - 1).bit_length())

    def _window(self, group: int) -> Window:
        if group not in self._windows:
            if self._spare:
                self._windows[group] = self._spare.pop()
                self._windows[group].clear()
            else:
                dtype = torch.float64 if self._reproducible else None
                self._windows[group] = Window(self._parameters, self._estimator.power, dtype)
        return self._windows[group]

    def _release(self) -> None:
        self._spare.extend(self._windows.values())
        self._windows.clear()
        self._exponent = None

    def _scaled_gradients(self, batch: Batch, count: int) -> Callable[[Tensor], Tensor]:
        def gradients(logits: Tensor) -> Tensor:
            found = self._estimator.output_gradients(logits, batch)
            found[count:] = 0
            own = _exponent(found)
            if self._exponent is None:
                self._exponent = own
            elif own is not None and abs(own - self._exponent) > LEEWAY:
                raise _Rescale
            exponent = torch.tensor(self._exponent or 0, device=found.device)
            return torch.ldexp(found, exponent).to(logits.dtype)

        return gradients

    def _fold(self) -> None:
        scale = 2.0 ** (-self._estimator.power * (self._exponent or 0))
        for group, window in self._windows.items():
            if group not in self._totals:
                self._totals[group] = zeros(self._parameters)
            for name, total in self._totals[group].items():
                _add_scaled(total, window.sums[name], scale)

    def _add_one_by_one(self, samples: Batch) -> None:
        """Each alone: to find which one has a gradient that is not finite, if it is not the sum."""
        for row, position in enumerate(samples.positions.tolist()):
            self._fill(samples.part(row, row + 1))
            (window,) = self._windows.values()
            for name, total in window.sums.items():
                if not bool(torch.isfinite(total).all()):
                    raise NonFiniteGradient(
                        f"The gradient of parameter {name!r} is not finite for the sample at "
                        f"position {position}. Its image or the weights hold NaN or extreme "
                        "values.",
                        position,
                    )
            self._fold()


def zeros(parameters: dict[str, nn.Parameter]) -> Totals:
    """Sums over no samples: float64 zeros by parameter name, shaped like the parameters."""
    return {
        name: torch.zeros_like(parameter, dtype=torch.float64, requires_grad=False)
        for name, parameter in parameters.items()
    }


def _runs(groups: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Each group with its first row and the one after its last."""
    start = 0
    for group, rows in groupby(groups):
        stop = start + len(list(rows))
        yield group, start, stop
        start = stop


def _is_finite(window: Window) -> bool:
    sums = [total for total in window.sums.values() if total.numel()]
    return bool(torch.isfinite(nn.utils.get_total_norm(sums, norm_type=math.inf)))


def _exponent(gradients: Tensor) -> int | None:
    """Times which power of 2 the largest of them is about 1; None if it is 0 or not finite."""
    largest = float(gradients.abs().max())
    if largest == 0 or not math.isfinite(largest):
        return None
    return -math.frexp(largest)[1]


def _add_scaled(total: Tensor, addend: Tensor, scale: float) -> None:
    if not is_compiled(total, addend.reshape(-1)) or not total.numel():
        total.add_(addend.double(), alpha=scale)
        return
    # One row for each first index; or rows, columns and taps, where the taps lie apart.
    shape = (total.shape[0] if total.dim() else 1, 1, -1)
    if not addend.is_contiguous():
        shape = (*total.shape[:2], -1)
    kernels.add_scaled(total.view(shape).numpy(), addend.reshape(shape).numpy(), scale)
