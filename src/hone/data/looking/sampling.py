"""Figures with intervals, and rows in a seeded order.

Where every row was measured a figure is exact: its interval is the value. Where a sample was, the interval holds the
figure of all rows 95 times of 100.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.data.split import position
from hone.data.wording import counted
from hone.task.scores import Z_95, wilson


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure, the interval that holds it, and the number of rows that it was computed from."""

    value: float
    low: float
    high: float
    n: int

    @property
    def exact(self) -> bool:
        """Whether the interval is the value itself."""
        return self.low == self.value == self.high

    def to_json(self) -> dict[str, float | int]:
        """As the report's JSON holds it."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def share(count: int, n: int, of: int | None = None) -> Estimate:
    """A share of rows: exact over all rows, with Wilson's score interval (1927) over a sample.

    Args:
        count: rows that have it.
        n: rows looked at.
        of: rows that the sample was taken from; None where all were looked at. The closer the sample comes to them, the
            narrower the interval (the correction for finite populations: ``n`` times ``(of - 1) / (of - n)``).
    """
    value = count / n if n else 0.0
    if not _sampled(n, of):
        return Estimate(value=value, low=value, high=value, n=n)
    draws = round(_effective(n, of))
    low, high = wilson(value * draws, draws) if draws else (0.0, 1.0)
    return Estimate(value=value, low=low, high=high, n=n)


def mean(values: np.ndarray[Any, Any], of: int | None = None) -> Estimate:
    """A mean, with the normal interval over a sample. Nulls (NaN) say nothing."""
    seen = values[~np.isnan(values)]
    n = len(seen)
    value = float(seen.mean()) if n else 0.0
    if not _sampled(len(values), of) or n < 2:
        return Estimate(value=value, low=value, high=value, n=n)
    half = Z_95 * float(seen.std(ddof=1)) / math.sqrt(_effective(n, of))
    return Estimate(value=value, low=value - half, high=value + half, n=n)


def total(values: np.ndarray[Any, Any], of: int | None = None) -> Estimate:
    """A sum over all rows, scaled up from a sample by its mean."""
    if not _sampled(len(values), of) or of is None:
        value = float(np.nansum(values))
        return Estimate(value=value, low=value, high=value, n=len(values))
    each = mean(np.nan_to_num(values), of)
    return Estimate(value=each.value * of, low=max(0.0, each.low) * of, high=each.high * of, n=each.n)


def repeats(count: int, n: int, of: int | None = None) -> Estimate:
    """The share of rows that repeat another row, of which a sample sees too few.

    A repeat is seen only when the row it repeats was taken too. With a share ``p`` of rows taken, what is seen lies
    between ``p`` times the true share (every group is a pair) and the true share (one large group), so the interval
    reaches from the low end of what was seen to its high end over ``p``.
    """
    seen = share(count, n, of)
    if not _sampled(n, of) or of is None:
        return seen
    return Estimate(value=seen.value, low=seen.low, high=min(1.0, seen.high * of / n), n=n)


def at_most(count: int, n: int, of: int | None = None) -> Estimate:
    """The share of rows that a model fitted to the same rows finds odd, of which a sample sees too many.

    With fewer rows to learn from a model is surprised more often, so only the high end means something.
    """
    seen = share(count, n, of)
    return Estimate(value=seen.value, low=0.0, high=seen.high, n=n) if _sampled(n, of) else seen


Estimated = Callable[[int, int, "int | None"], Estimate]
"""How the share of all rows follows from a count among those looked at."""


def told_rows(count: int, n: int, of: int | None = None, estimated: Estimated = share) -> tuple[str, bool]:
    """A count of rows in words, and whether it is one: ``46 rows``, of a sample ``about 920 rows (640 to 1,300)``."""
    if not _sampled(n, of) or of is None:
        return counted(count, "row"), count == 1
    found = estimated(count, n, of)
    value, low, high = (round(end * of) for end in (found.value, found.low, found.high))
    if not low and estimated is at_most:
        return f"at most {counted(high, 'row')}", high == 1
    # As many as were seen are there for certain.
    return f"about {counted(value, 'row')} ({max(low, count):,} to {high:,})", value == 1


def order_by_hash(names: Sequence[str], seed: int = 0) -> list[int]:
    """Positions of names in the order of their hash: a seeded shuffle that does not depend on where they stand."""
    keys = [position(name, f"look-{seed}") for name in names]
    return sorted(range(len(names)), key=keys.__getitem__)


def _sampled(n: int, of: int | None) -> bool:
    return of is not None and of > n


def _effective(n: int, of: int | None) -> float:
    return n if of is None or of <= n else n * (of - 1) / (of - n)
