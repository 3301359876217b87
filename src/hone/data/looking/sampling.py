"""Figures with intervals, and the rows that a sample takes.

Where every row was measured a figure is exact: its interval is the value. Where a sample was, the interval holds the
figure of all rows 95 times of 100.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hone.errors import InputError
from hone.task.scores import Z_95, wilson

Item = TypeVar("Item")


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
            narrower the interval (the correction for finite populations, as ``n`` multiplied by ``(of - 1) / (of - n)``).
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


def take_by_hash(rows: Iterable[Item], names: Iterable[str], count: int, seed: int = 0) -> tuple[list[Item], int]:
    """A sample in one pass: the ``count`` rows whose ids hash lowest, in their order, and the number of rows seen.

    The same ids and seed give the same sample on every machine, whatever order they come in, and a smaller sample is
    part of a larger one. At most ``count`` rows are held.

    Raises:
        InputError: when ``count`` is below 1.
    """
    if count < 1:
        raise InputError(f"a sample needs at least 1 row; {count:,} were asked for")
    held: list[tuple[int, int, Item]] = []
    seen = 0
    for row, name in zip(rows, names, strict=True):
        key = -_hash(name, seed)
        if len(held) < count:
            heapq.heappush(held, (key, -seen, row))
        elif key > held[0][0]:
            heapq.heapreplace(held, (key, -seen, row))
        seen += 1
    return [row for _, _, row in sorted(held, key=lambda item: -item[1])], seen


def order_by_hash(names: Sequence[str], seed: int = 0) -> list[int]:
    """Positions of names in the order of their hash: a seeded shuffle that does not depend on where they stand."""
    return sorted(range(len(names)), key=lambda at: _hash(names[at], seed))


def _hash(name: str, seed: int) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=seed.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


def _sampled(n: int, of: int | None) -> bool:
    return of is not None and of > n


def _effective(n: int, of: int | None) -> float:
    return n if of is None or of <= n else n * (of - 1) / (of - n)
