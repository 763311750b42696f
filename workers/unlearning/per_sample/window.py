"""Where powers of per-sample gradients are summed, while the gradients are still in the cache.

The sums are in the parameters' own precision, but at least in float32: of a few hundred powers in
half precision, most would be lost. Or they are in float64, and then they are *reproducible*: a
power is rounded the same way whatever it is added to, so sums over the same samples agree to 1e-13
in whichever order and batches they came, and can be subtracted from one another.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from workers.unlearning.estimators import Power
from workers.unlearning.loops import kernels, products
from workers.unlearning.loops.compiled import flat, is_compiled
from workers.unlearning.loops.gpu import is_fused

# Entries of per-sample gradients that are held at once. On a CPU they should stay in its cache.
CACHED_ENTRIES = 1 << 20
DEVICE_ENTRIES = 1 << 27
# From so many on, calling a compiled loop is worth it.
LARGE = 1 << 14
# The same of a GPU's loop, if nothing has to be widened: entries of all gradients. It takes the CPU
# longer to start it than the three operations that it replaces, which a small network waits for.
LARGE_ON_GPU = 1 << 26
# Entries that are widened at once.
BLOCK = 1 << 17


def window_dtype(parameter: Tensor) -> torch.dtype:
    """What powers of the parameter's gradients are summed in, unless that is float64."""
    return torch.promote_types(parameter.dtype, torch.float32)


class Window:
    """One tensor for each parameter, of its shape; of `dtype`, or of `window_dtype`."""

    def __init__(
        self, parameters: Mapping[str, Tensor], power: Power, dtype: torch.dtype | None = None
    ) -> None:
        self.power = power
        self.sums = {
            name: torch.zeros_like(
                parameter,
                dtype=dtype or window_dtype(parameter),
                memory_format=torch.contiguous_format,
            )
            for name, parameter in parameters.items()
        }

    def clear(self) -> None:
        """Back to zeros."""
        for total in self.sums.values():
            total.zero_()

    def add(self, name: str, gradients: Tensor) -> None:
        """Add samples' gradients [b, *shape], which nobody needs afterwards: they may change."""
        total = self.sums[name]
        # Where all samples have the same gradient, or all entries, it may be there only once.
        alone = gradients.contiguous() if 0 in gradients.stride() else gradients
        self._add(total, alone.reshape(len(gradients), *total.shape))

    def add_products(self, name: str, outputs: Tensor, inputs: Tensor) -> None:
        """Add gradients that are products: of each sample, Σ over positions of output ⊗ input.

        `outputs` [b, positions, rows], `inputs` [b, positions, columns]; the parameter has the
        shape [rows, columns], or one that can be viewed so.
        """
        total = self.sums[name].view(outputs.shape[2], inputs.shape[2])
        if not total.numel():
            return
        if outputs.shape[1] == 1:
            # The power of a product is the product of the powers: one matmul for all samples.
            total.addmm_(
                self.power.of(outputs[:, 0].to(total.dtype)).t(),
                self.power.of(inputs[:, 0].to(total.dtype)),
            )
            return
        if products.is_tiled(total, outputs, inputs):
            products.add_products(
                total[:, None, None], outputs[:, None], inputs[:, None], self.power
            )
            return
        at_once = self.entries_at_once(total)
        some_rows = max(1, at_once // total.shape[1])
        some_samples = max(1, at_once // (min(some_rows, total.shape[0]) * total.shape[1]))
        for start in range(0, total.shape[0], some_rows):
            rows = slice(start, start + some_rows)
            for first in range(0, len(outputs), some_samples):
                samples = slice(first, first + some_samples)
                gradients = torch.bmm(outputs[samples, :, rows].transpose(1, 2), inputs[samples])
                self._add(total[rows], gradients)

    def add_kernel_products(
        self, name: str, outputs: Tensor, inputs: Tensor, sliding: products.Sliding
    ) -> None:
        """Add gradients of a convolution's kernel [rows, columns, y, x], where that is tiled.

        `outputs` [b, rows, y, x] are gradients of its outputs, `inputs` [b, columns, y, x].
        """
        total = self.laid_out_by_tap(name)
        channels_last = (0, 2, 3, 1)
        products.add_products(
            total.permute(channels_last),
            outputs.permute(channels_last),
            inputs.permute(channels_last),
            self.power,
            sliding,
        )

    def laid_out_by_tap(self, name: str) -> Tensor:
        """The sums of a convolution's kernel; from now on a tap's columns lie side by side."""
        total = self.sums[name]
        if total.dim() == 4:
            total = self.sums[name] = total.contiguous(memory_format=torch.channels_last)
        return total

    def add_rows(self, name: str, rows: Tensor, gradients: Tensor) -> None:
        """Add gradients [n, width] of the rows numbered `rows` [n] of a table."""
        total = self.sums[name]
        total.index_put_((rows,), self.power.of(gradients.to(total.dtype)), accumulate=True)

    def entries_at_once(self, like: Tensor) -> int:
        """How many entries of per-sample gradients may be held on the tensor's device."""
        return CACHED_ENTRIES if like.device.type == "cpu" else DEVICE_ENTRIES

    def _add(self, total: Tensor, gradients: Tensor) -> None:
        """Add gradients [b, *shape of `total`]."""
        large = total.numel() >= LARGE and self.power is Power.SQUARE
        if large and is_compiled(total, gradients):
            rows = gradients.view(len(gradients), -1).numpy()
            kernels.add_squares(flat(total), rows)
        elif is_fused(total, gradients) and _is_worth_it(total, gradients):
            from workers.unlearning.loops import gpu_kernels

            gpu_kernels.add_powers(total, gradients, self.power)
        elif total.dtype != gradients.dtype and total.is_contiguous():
            self._add_widened(total, gradients)
        elif len(gradients) == 1:
            self.power.add_to(total, gradients[0].to(total.dtype))
        else:
            total.add_(self.power.of_(gradients.to(total.dtype)).sum(dim=0))

    def _add_widened(self, total: Tensor, gradients: Tensor) -> None:
        at_once = max(1, BLOCK // len(gradients)) if total.device.type == "cpu" else total.numel()
        flat_total, flat = total.view(-1), gradients.reshape(len(gradients), -1)
        for start in range(0, len(flat_total), at_once):
            wide = flat[:, start : start + at_once].to(total.dtype)
            flat_total[start : start + at_once].add_(self.power.of_(wide).sum(dim=0))


def _is_worth_it(total: Tensor, gradients: Tensor) -> bool:
    """Whether a loop of its own makes adding these on a GPU faster."""
    if total.dtype == gradients.dtype:
        return gradients.numel() >= LARGE_ON_GPU
    return total.numel() >= LARGE
