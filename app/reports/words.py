"""Numbers and names as reports write them, on the page and at the terminal.

What was not measured, or has no finite value, is a dash: never a zero, never an empty cell.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeGuard

from models.documents import Estimate

MISSING = "–"
Show = Callable[[float | None], str]


def percent(share: float | None) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %" if _is_known(share) else MISSING


def points(share: float | None) -> str:
    """A share as percentage points with one decimal, without a sign."""
    return f"{100 * share:.1f}" if _is_known(share) else MISSING


def change(before: float | None, after: float | None) -> str:
    """From one share to another, in percentage points with a sign."""
    if not (_is_known(before) and _is_known(after)):
        return MISSING
    rounded = round(100 * (after - before), 1) + 0.0
    sign = "−" if rounded < 0 else "+" if rounded > 0 else "±"
    return f"{sign}{abs(rounded):.1f}"


def change_of(fall: Estimate) -> str:
    """The interval of a fall as that of a change, in percentage points."""
    low, high = (None if edge is None else -edge for edge in (fall.high, fall.low))
    return interval(low, high, lambda edge: change(0.0, edge))


def area(value: float | None) -> str:
    """An area, a distance or a loss: three decimals."""
    return f"{value:.3f}" if _is_known(value) else MISSING


def interval(low: float | None, high: float | None, show: Show) -> str:
    """From one figure to another; the unit is said once."""
    return f"{show(low).removesuffix(' %')} to {show(high)}"


def number(value: float | None) -> str:
    """A number of any size: three digits that count."""
    if not _is_known(value):
        return MISSING
    plain = 100 <= abs(value) < 1e9
    return f"{value:,.0f}" if plain else f"{value:.3g}"


def counted(count: int, thing: str) -> str:
    """So many of a thing whose plural takes an s."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def samples(count: int) -> str:
    """So many samples."""
    return counted(count, "sample")


def moment(time: datetime | None) -> str:
    """A time, to the minute."""
    return MISSING if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def title(cohort: str) -> str:
    """A cohort's name at the beginning of a sentence."""
    return "Scattered samples" if cohort == "scattered" else cohort[:1].upper() + cohort[1:]


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
