"""From batches to float64 sums: windows, precision, memory, and gradients that are not finite.

A window of samples is summed in the network's precision and then added in float64. Whatever goes
wrong inside a window (the device runs out of memory, a gradient is NaN) is mended by doing that
window again, in smaller batches or sample by sample; the totals hold complete windows only.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from models.errors import NonFiniteGradient
from workers.unlearning import kernels
from workers.unlearning.batches import Batch, joined
from workers.unlearning.compiled import is_compiled, use_threads
from workers.unlearning.estimators import Estimator
from workers.unlearning.memory import is_out_of_memory
from workers.unlearning.per_sample import Window, add_batch

# Samples of a window: enough to make the widening cheap, few enough for float32.
WINDOW = 256
# Gradients are scaled by 2 to a multiple of this, so that neither they nor their squares underflow.
EXPONENT_STEP = 32


def windows(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The same samples in the same order, a window's at a time."""
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
    """Adds samples to `totals`, float64 by parameter name."""

    def __init__(
        self,
        network: nn.Module,
        totals: dict[str, Tensor],
        estimator: Estimator,
        *,
        batch_size: int,
        reproducible: bool,
    ) -> None:
        self._totals = totals
        self._network = network
        self._estimator = estimator
        self._batch_size = batch_size
        self._reproducible = reproducible
        dtype = torch.float64 if reproducible else None
        self._window = Window(dict(network.named_parameters()), estimator.power, dtype)
        # Of the window: its gradients are 2 to this times the samples'.
        self._exponent: int | None = None

    def add(self, samples: Batch) -> None:
        """Add a window's samples, or in several windows if their magnitudes differ too much."""
        while len(samples):
            done = self._fill(samples)
            if not self._is_finite():
                self._add_one_by_one(samples.part(0, done))
            else:
                self._fold()
            samples = samples.part(done, len(samples))

    def _fill(self, samples: Batch) -> int:
        while True:
            self._window.clear()
            self._exponent = None
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
            if self._reproducible:
                # Kernels treat every row of a batch alike, but batches of other sizes otherwise.
                part = part.padded(self._batch_size)
            gradients = self._scaled_gradients(part, count)
            try:
                add_batch(self._network, part.inputs, gradients, self._window)
            except _Rescale:
                break
            done += count
        return done

    def _scaled_gradients(self, batch: Batch, count: int) -> Callable[[Tensor], Tensor]:
        def gradients(logits: Tensor) -> Tensor:
            found = self._estimator.output_gradients(logits, batch)
            found[count:] = 0
            exponent = _exponent(found)
            if self._exponent not in (None, exponent):
                raise _Rescale
            self._exponent = exponent
            return torch.ldexp(found, torch.tensor(exponent)).to(logits.dtype)

        return gradients

    def _is_finite(self) -> bool:
        sums = list(self._window.sums.values())
        return bool(torch.isfinite(nn.utils.get_total_norm(sums, norm_type=math.inf)))

    def _fold(self) -> None:
        scale = 2.0 ** (-self._estimator.power * (self._exponent or 0))
        for name, total in self._totals.items():
            _add_scaled(total, self._window.sums[name], scale)

    def _add_one_by_one(self, samples: Batch) -> None:
        """Each alone: to find which one has a gradient that is not finite, if it is not the sum."""
        for row, position in enumerate(samples.positions.tolist()):
            self._fill(samples.part(row, row + 1))
            for name, total in self._window.sums.items():
                if not bool(torch.isfinite(total).all()):
                    raise NonFiniteGradient(
                        f"The gradient of parameter {name!r} is not finite for the sample at "
                        f"position {position}. Its image or the weights hold NaN or extreme "
                        "values.",
                        position,
                    )
            self._fold()


def _exponent(gradients: Tensor) -> int:
    """What makes the largest of them about 1, as a multiple of `EXPONENT_STEP`."""
    largest = float(gradients.abs().max())
    if largest == 0 or not math.isfinite(largest):
        return 0
    return -EXPONENT_STEP * round(math.frexp(largest)[1] / EXPONENT_STEP)


def _add_scaled(total: Tensor, addend: Tensor, scale: float) -> None:
    if not is_compiled(total):
        total.add_(addend.double(), alpha=scale)
        return
    # The layout of memory may be another; innermost is what lies side by side in both, or the taps.
    shape = (total.shape[0] if total.dim() else 1, 1, -1)
    if not addend.is_contiguous():
        shape = (*total.shape[:2], -1)
    use_threads()
    kernels.add_scaled(total.view(shape).numpy(), addend.reshape(shape).numpy(), scale)
