"""Loops over weights that must be one pass over memory, compiled for the CPU.

A tensor operation reads and writes whole tensors, and these loops do so little arithmetic that
memory is what they wait for; five operations in a row cost five times one loop. GPUs have their own
(`gpu_kernels.py`); elsewhere, and for other number formats, their callers use tensor operations,
which give the same bits.
"""

import numba
import numpy as np

from workers.unlearning.loops.compiled import Array, compiled, compiled_parallel

# Entries that one thread works on at a time; they stay in its cache.
BLOCK = 1 << 14
# The upper half of a float32's bits: what ratios are counted by.
BUCKETS = 1 << 16


@compiled_parallel
def add_squares(total: Array, gradients: Array) -> None:
    """total[i] += Σ over samples of gradients[sample, i]², squared in the precision of `total`.

    `total` [n], `gradients` [b, n]; samples are added one by one, in order.
    """
    for block in numba.prange((total.size + BLOCK - 1) // BLOCK):
        part = total[block * BLOCK : (block + 1) * BLOCK]
        for sample in range(len(gradients)):
            row = gradients[sample, block * BLOCK : (block + 1) * BLOCK]
            for i in range(part.size):
                wide = part.dtype.type(row[i])
                part[i] += wide * wide


@compiled_parallel
def add_scaled(total: Array, addend: Array, scale: float) -> None:
    """Add scale · addend to `total`, in the precision of `total`.

    `total` [rows, columns, taps], `addend` the same in any order of memory.
    """
    for row in numba.prange(total.shape[0]):
        for column in range(total.shape[1]):
            for tap in range(total.shape[2]):
                total[row, column, tap] += scale * total.dtype.type(addend[row, column, tap])


@compiled_parallel
def tighten(
    factors: Array,
    full: Array,
    forget: Array,
    retained: float,
    forgotten: float,
    selection: float,
    strength: float,
    rounding: float,
) -> int:
    """factors[i] = min(factors[i], β[i]), all float64 [n]; how many β are below 1.

    β is `dampening.dampening_factors` of sums over `forgotten` and over `forgotten + retained`
    samples.
    """
    dampened = 0
    for i in numba.prange(factors.size):
        difference = full[i] - forget[i]
        retain = difference / retained if difference > rounding * full[i] else 0.0
        importance = forget[i] / forgotten
        if importance > selection * retain:
            factor = strength * retain / importance
            if factor < 1.0:
                dampened += 1
                factors[i] = min(factors[i], factor)
    return dampened


@compiled_parallel
def scale(weights: Array, factors: Array, out: Array) -> int:
    """out[i] = weights[i] · factors[i], rounded once; how many factors are below 1."""
    dampened = 0
    for i in numba.prange(out.size):
        if factors[i] < 1.0:
            dampened += 1
        out[i] = np.float64(weights[i]) * factors[i]
    return dampened


@compiled_parallel
def dampen(weights: Array, retain: Array, forget: Array, selection: float, strength: float) -> int:
    """weights[i] *= min(strength · retain[i] / forget[i], 1) where forget > selection · retain.

    In place; `retain` and `forget` are importances [n], in whose precision it is computed. Returns
    how many weights have changed.
    """
    dampened = 0
    alpha, lam = forget.dtype.type(selection), forget.dtype.type(strength)
    for i in numba.prange(weights.size):
        if forget[i] > alpha * retain[i]:
            factor = lam * retain[i] / forget[i]
            if factor < 1.0:
                weights[i] = weights[i] * factor
                dampened += 1
    return dampened


@compiled
def ratio(full: float, forget: float, retained: float, forgotten: float, rounding: float) -> float:
    """I_f / I_r; infinite where only the forgotten samples matter, NaN where none do."""
    difference = full - forget
    if difference > rounding * full:
        return (forget / forgotten) / (difference / retained)
    return np.inf if forget > 0.0 else np.nan


@compiled
def bucket_of(value: float, bits: Array) -> int:
    """The bucket of a ratio; larger ratios have larger ones. `bits` is scratch, float32 [1]."""
    bits[0] = value
    return int(bits.view(np.uint32)[0] >> 16)


@compiled_parallel
def count_ratios(
    counts: Array,
    full: Array,
    forget: Array,
    retained: float,
    forgotten: float,
    rounding: float,
) -> None:
    """counts[·, bucket] += 1 for every finite ratio; each of the rows has its share of weights."""
    shares = len(counts)
    size = (full.size + shares - 1) // shares
    for share in numba.prange(shares):
        bits = np.empty(1, np.float32)
        row = counts[share]
        for i in range(share * size, min(full.size, share * size + size)):
            value = ratio(full[i], forget[i], retained, forgotten, rounding)
            if np.isfinite(value):
                row[bucket_of(value, bits)] += 1


@compiled
def collect_ratios(
    found: Array,
    filled: int,
    bucket: int,
    full: Array,
    forget: Array,
    retained: float,
    forgotten: float,
    rounding: float,
) -> int:
    """Write the finite ratios of one bucket into `found`, from `filled` on; the new `filled`."""
    bits = np.empty(1, np.float32)
    for i in range(full.size):
        value = ratio(full[i], forget[i], retained, forgotten, rounding)
        if np.isfinite(value) and bucket_of(value, bits) == bucket:
            found[filled] = value
            filled += 1
    return filled
