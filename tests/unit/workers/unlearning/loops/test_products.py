"""Compiled products against convolutions' own gradients, sample by sample, in float64."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workers.unlearning.estimators import Power
from workers.unlearning.loops import products
from workers.unlearning.loops.products import Sliding, add_products, is_tiled

LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Case:
    """A convolution of some samples."""

    samples: int
    rows: int
    columns: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    extra: tuple[int, int]

    @property
    def sizes(self) -> tuple[int, int]:
        """Of the inputs: enough for at least one output."""
        return tuple(  # type: ignore[return-value]
            max(1, d * (k - 1) + 1 - 2 * p) + e
            for k, p, d, e in zip(self.kernel, self.padding, self.dilation, self.extra, strict=True)
        )

    @property
    def sliding(self) -> Sliding:
        """What the products want to know of it."""
        return Sliding(self.stride, self.padding, self.dilation)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    """(y, x)."""
    return st.tuples(st.integers(low, high), st.integers(low, high))


# Whole tiles, tiles with less of either, and several of them.
CASES = st.builds(
    Case,
    samples=st.integers(0, 5),
    rows=st.sampled_from([1, 7, 8, 9, 16, 136]),
    columns=st.sampled_from([1, 3, 15, 16, 17, 32, 33, 48, 70]),
    kernel=pairs(1, 4),
    stride=pairs(1, 3),
    padding=pairs(0, 3),
    dilation=pairs(1, 2),
    extra=pairs(0, 9),
)


def expected(case: Case, outputs: Tensor, inputs: Tensor, power: Power) -> Tensor:
    """[rows, columns, y, x], the slow way."""
    total = torch.zeros(case.rows, case.columns, *case.kernel, dtype=torch.float64)
    for of_output, of_input in zip(outputs.double(), inputs.double(), strict=True):
        total += power.of(
            torch.nn.grad.conv2d_weight(
                of_input[None],
                total.shape,
                of_output[None],
                case.stride,
                case.padding,
                case.dilation,
            )
        )
    return total


def make(case: Case) -> tuple[Tensor, Tensor]:
    """Gradients of outputs, and inputs."""
    generator = torch.Generator().manual_seed(case.samples)
    inputs = torch.randn(case.samples, case.columns, *case.sizes, generator=generator)
    kernel = torch.zeros(case.rows, case.columns, *case.kernel)
    like = torch.nn.functional.conv2d(
        inputs, kernel, None, case.stride, case.padding, case.dilation
    )
    return torch.randn(like.shape, generator=generator), inputs


@settings(max_examples=120, deadline=None)
@given(
    case=CASES,
    power=st.sampled_from(Power),
    wide=st.booleans(),
    channels_last=st.booleans(),
)
def test_products_are_those_of_the_loop(
    case: Case, power: Power, wide: bool, channels_last: bool
) -> None:
    outputs, inputs = make(case)
    if channels_last:
        outputs, inputs = (
            t.contiguous(memory_format=torch.channels_last) for t in (outputs, inputs)
        )
    dtype = torch.float64 if wide else torch.float32
    total = torch.ones(case.rows, *case.kernel, case.columns, dtype=dtype)
    add_products(total, outputs.permute(LAST), inputs.permute(LAST), power, case.sliding)
    wanted = expected(case, outputs, inputs, power)
    error = (total.permute(0, 3, 1, 2) - 1 - wanted).abs().max()
    assert float(error) <= 1e-5 * (1 + float(wanted.max()))


@pytest.mark.parametrize("width", [1, 127, 128, 129, 1000])
def test_positions_in_several_parts_make_one_gradient(width: int) -> None:
    case = Case(2, 16, 32, (1, 1), (1, 1), (0, 0), (1, 1), (2, width - 1))
    outputs, inputs = make(case)
    total = torch.zeros(16, 1, 1, 32, dtype=torch.float64)
    add_products(total, outputs.permute(LAST), inputs.permute(LAST), Power.SQUARE)
    wanted = expected(case, outputs, inputs, Power.SQUARE).permute(LAST)
    torch.testing.assert_close(total, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_and_of_samples_at_once_changes_no_bit(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(9, 24, 40, (3, 3), (1, 1), (1, 1), (1, 1), (5, 6))
    outputs, inputs = make(case)
    totals = []
    before = torch.get_num_threads()
    for at_once in (1, 8 << 20):
        monkeypatch.setattr(products, "MOST_BYTES", at_once)
        total = torch.zeros(24, 3, 3, 40)
        torch.set_num_threads(threads)
        try:
            add_products(
                total, outputs.permute(LAST), inputs.permute(LAST), Power.SQUARE, case.sliding
            )
        finally:
            torch.set_num_threads(before)
        totals.append(total)
    reference = torch.zeros(24, 3, 3, 40)
    add_products(reference, outputs.permute(LAST), inputs.permute(LAST), Power.SQUARE, case.sliding)
    assert all(torch.equal(total, reference) for total in totals)


def test_what_is_not_a_number_stays_in_its_own_row_and_column() -> None:
    case = Case(1, 9, 17, (1, 1), (1, 1), (0, 0), (1, 1), (2, 2))
    outputs, inputs = make(case)
    outputs[0, 3, 1, 1] = torch.nan
    total = torch.zeros(9, 1, 1, 17)
    add_products(total, outputs.permute(LAST), inputs.permute(LAST), Power.SQUARE)
    assert total.isnan().sum() == 17
    assert bool(total[3].isnan().all())


def test_a_long_sum_of_equal_terms_is_not_rounded_term_by_term() -> None:
    # What flat backgrounds of large images come to: 1.6e-4 if it were.
    outputs, inputs = torch.full((1, 112, 112, 8), 0.1), torch.full((1, 112, 112, 16), 0.3)
    total = torch.zeros(8, 1, 1, 16, dtype=torch.float64)
    add_products(total, outputs, inputs, Power.SQUARE)
    wanted = (outputs[0, 0, 0, 0].double() * inputs[0, 0, 0, 0].double() * 112 * 112) ** 2
    torch.testing.assert_close(total, wanted.expand(8, 1, 1, 16), rtol=1e-5, atol=0)


def test_taps_that_see_nothing_but_padding_add_nothing() -> None:
    case = Case(2, 24, 15, (5, 2), (8, 8), (7, 3), (1, 1), (7, 0))
    outputs, inputs = make(case)
    total = torch.zeros(24, 5, 2, 15)
    add_products(total, outputs.permute(LAST), inputs.permute(LAST), Power.SQUARE, case.sliding)
    wanted = expected(case, outputs, inputs, Power.SQUARE).permute(LAST).float()
    torch.testing.assert_close(total, wanted, rtol=1e-4, atol=1e-4)


def test_samples_that_are_one_and_the_same_in_memory_are_fine() -> None:
    outputs, inputs = torch.randn(1, 3, 3, 8).expand(4, 3, 3, 8), torch.randn(4, 3, 3, 16)
    total, wanted = torch.zeros(8, 1, 1, 16), torch.zeros(8, 1, 1, 16)
    add_products(total, outputs, inputs, Power.SQUARE)
    add_products(wanted, outputs.contiguous(), inputs, Power.SQUARE)
    assert torch.equal(total, wanted)


@pytest.mark.parametrize(
    "total",
    [
        torch.zeros(16, 8).t()[:, None, None],
        torch.zeros(8, 1, 1, 17),
        torch.zeros(9, 1, 1, 16),
        torch.zeros(8, 1, 1, 16, dtype=torch.float16),
    ],
)
def test_a_total_that_does_not_fit_is_refused(total: Tensor) -> None:
    with pytest.raises(AssertionError):
        add_products(total, torch.ones(2, 1, 4, 8), torch.ones(2, 1, 4, 16), Power.SQUARE)
    assert not total.any()


def test_only_float32_on_a_cpu_is_tiled() -> None:
    single, double = torch.zeros(2), torch.zeros(2, dtype=torch.float64)
    assert is_tiled(single, single, single)
    assert is_tiled(double, single, single)
    assert not is_tiled(double, double, double)
    assert not is_tiled(single.half(), single, single)
    assert not is_tiled(single.to("meta"), single, single)
