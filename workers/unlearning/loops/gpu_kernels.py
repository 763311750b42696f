"""Loops that must be one pass over a GPU's memory, in Triton.

To square samples' gradients and add them up takes tensor operations three passes over them, and
dampening a dozen over the same three tensors. Their callers ask `gpu.is_fused` first, and import
this module then, not earlier: it takes longer to import Triton than a small request takes on a CPU.

Numbers reach the kernels in a tensor of float64: as arguments they would be rounded to float32. A
kernel runs on PyTorch's current GPU, so that is set to its tensors' before it is started.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from workers.unlearning.estimators import Power

# Entries of one program, of loops over weights.
BLOCK = 1024
# Entries of one program of the loop over samples, and samples that it reads at once: few enough
# entries that a small layer keeps the GPU busy, and enough samples that memory does.
FEW, AT_ONCE = 128, 16


def add_powers(total: Tensor, gradients: Tensor, power: Power) -> None:
    """total[i] += Σ over samples of |gradients[sample, i]| to the power, in `total`'s precision.

    `total` [n], `gradients` [b, n], both contiguous; samples are added in an order of their own,
    which is always the same.
    """
    size = total.numel()
    with torch.cuda.device_of(total):
        _add_powers[(triton.cdiv(size, FEW),)](
            total,
            gradients,
            len(gradients),
            size,
            SQUARE=power is Power.SQUARE,
            FEW=FEW,
            AT_ONCE=AT_ONCE,
            enable_fp_fusion=True,
        )


@triton.jit(do_not_specialize=["samples"])
def _add_powers(
    total,
    gradients,
    samples,
    size,
    SQUARE: tl.constexpr,
    FEW: tl.constexpr,
    AT_ONCE: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * FEW + tl.arange(0, FEW)
    there = at < size
    sample = tl.arange(0, AT_ONCE)
    from_here = gradients + sample.to(tl.int64)[:, None] * size + at[None, :]
    # In 32 bits, the entries of sixteen samples of a large layer would not be counted.
    step = tl.full((), AT_ONCE, tl.int64) * size
    found = tl.zeros((AT_ONCE, FEW), dtype=total.dtype.element_ty)
    for first in range(0, samples, AT_ONCE):
        wanted = (first + sample < samples)[:, None] & there[None, :]
        gradient = tl.load(from_here, mask=wanted, other=0.0).to(total.dtype.element_ty)
        found += gradient * gradient if SQUARE else tl.abs(gradient)
        from_here += step
    before = tl.load(total + at, mask=there, other=0.0)
    tl.store(total + at, before + tl.sum(found, axis=0), mask=there)


def tighten(
    factors: Tensor,
    full: Tensor,
    forget: Tensor,
    *,
    retained: float,
    forgotten: float,
    selection: float,
    strength: float,
    rounding: float,
) -> int:
    """factors[i] = min(factors[i], β[i]), all float64 [n]; how many β are below 1.

    As `kernels.tighten`, with the same bits.
    """
    numbers = _numbers_on(factors, retained, forgotten, selection, strength, rounding)
    return _counted(_tighten, factors, full, forget, numbers)


@triton.jit
def _tighten(factors, full, forget, numbers, dampened, size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = at < size
    of_all = tl.load(full + at, mask=there, other=0.0)
    of_forgotten = tl.load(forget + at, mask=there, other=0.0)
    difference = of_all - of_forgotten
    significant = difference > tl.load(numbers + 4) * of_all
    retain = tl.where(significant, difference / tl.load(numbers), 0.0)
    importance = of_forgotten / tl.load(numbers + 1)
    selected = importance > tl.load(numbers + 2) * retain
    divisor = tl.where(selected, importance, 1.0)
    factor = tl.load(numbers + 3) * retain / divisor
    lowered = there & selected & (factor < 1.0)
    before = tl.load(factors + at, mask=lowered, other=1.0)
    tl.store(factors + at, tl.minimum(before, factor), mask=lowered)
    tl.atomic_add(dampened, tl.sum(lowered.to(tl.int64), axis=0))


def scale(weights: Tensor, factors: Tensor) -> Tensor:
    """weights[i] · factors[i] in float64, rounded once to the precision of `weights`."""
    out = torch.empty_like(weights)
    size = out.numel()
    with torch.cuda.device_of(out):
        _scale[(triton.cdiv(size, BLOCK),)](
            weights, factors, out, size, BLOCK=BLOCK, enable_fp_fusion=False
        )
    return out


@triton.jit
def _scale(weights, factors, out, size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = at < size
    weight = tl.load(weights + at, mask=there, other=0.0).to(tl.float64)
    factor = tl.load(factors + at, mask=there, other=0.0)
    tl.store(out + at, (weight * factor).to(out.dtype.element_ty), mask=there)


def dampen(
    weights: Tensor, retain: Tensor, forget: Tensor, *, selection: float, strength: float
) -> int:
    """weights[i] *= min(strength · retain[i] / forget[i], 1) where forget > selection · retain.

    As `kernels.dampen`, with the same bits; all three [n].
    """
    return _counted(_dampen, weights, retain, forget, _numbers_on(weights, selection, strength))


@triton.jit
def _dampen(weights, retain, forget, numbers, dampened, size, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = at < size
    of_retained = tl.load(retain + at, mask=there, other=0.0)
    of_forgotten = tl.load(forget + at, mask=there, other=0.0)
    precision = forget.dtype.element_ty
    selected = of_forgotten > tl.load(numbers).to(precision) * of_retained
    divisor = tl.where(selected, of_forgotten, 1.0)
    dividend = tl.load(numbers + 1).to(precision) * of_retained
    # `/` is off by a bit or two in float32.
    factor = tl.div_rn(dividend, divisor) if precision == tl.float32 else dividend / divisor
    lowered = there & selected & (factor < 1.0)
    weight = tl.load(weights + at, mask=lowered, other=0.0)
    tl.store(weights + at, (weight * factor).to(weights.dtype.element_ty), mask=lowered)
    tl.atomic_add(dampened, tl.sum(lowered.to(tl.int64), axis=0))


def _numbers_on(like: Tensor, *numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, device=like.device)


def _counted(kernel: Any, changed: Tensor, *others: Tensor) -> int:
    """Run a kernel that counts. Nothing in it is multiplied and added with a single rounding."""
    count = torch.zeros((), dtype=torch.int64, device=changed.device)
    size = changed.numel()
    with torch.cuda.device_of(changed):
        kernel[(triton.cdiv(size, BLOCK),)](
            changed, *others, count, size, BLOCK=BLOCK, enable_fp_fusion=False
        )
    return int(count)
