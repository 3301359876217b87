"""Figures with intervals, and rows in a seeded order.

Where every row was measured a figure is exact: its interval is the value. Where a sample was, the interval holds the
figure of all rows 95 times of 100; where a sample says too little for one there is none, and why is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.data.split import position
from hone.task.scores import Z_95, wilson
from hone.wording import counted

UNKNOWN = math.nan
CONSTANT = "not estimated: constant in the sample"
TOO_FEW = "not estimated: too few rows in the sample"
HARDLY_ANY = "not estimated: hardly any row of the sample differs"
OF_COMPANY = "not estimated: depends on which rows it is compared with"
DIFFERING_ROWS = 10
"""Rows with another value than the most frequent one from which on a mean has an interval."""
_RARE = {1: 0.05129, 2: 0.35536, 3: 0.81769}
"""By rows seen, the mean of Poisson's distribution that gives so many or more 5 times of 100."""
MEDIAN_ROWS = 6
"""Rows from which on the smallest and the largest hold the median 95 times of 100: 1 - 2 / 2^6 is 0.97."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A figure, the interval that holds it, and the number of rows that it was computed from.

    NaN is what nobody knows: an end of the interval, for the reason that ``note`` says, or a figure of no rows.
    """

    value: float
    low: float
    high: float
    n: int
    note: str = ""

    @property
    def exact(self) -> bool:
        """Whether the interval is the value itself."""
        return self.low == self.value == self.high

    def to_json(self) -> dict[str, float | int | str | None]:
        """As the report's JSON holds it: null where nothing is known, which is all of a figure of no rows."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        known = {name: None if math.isnan(end) or not self.n else end for name, end in ends.items()}
        return {**known, "n": self.n} | ({"no_interval": self.note} if self.note else {})


def unestimated(value: float, n: int, note: str) -> Estimate:
    """What was seen in a sample, without an interval."""
    return Estimate(value=value, low=UNKNOWN, high=UNKNOWN, n=n, note=note)


def share(count: int, n: int, of: int | None = None) -> Estimate:
    """A share of rows: exact over all rows, with Wilson's score interval (1927) over a sample.

    Of one to three rows, where that interval holds the truth too seldom, the near end is Poisson's, as Brown, Cai and
    DasGupta have it (Interval Estimation for a Binomial Proportion, 2001, section 4.1.1).

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
    low = _RARE[count] / draws if count in _RARE else low
    high = 1 - _RARE[n - count] / draws if n - count in _RARE else high
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n)


def mean(values: np.ndarray[Any, Any], of: int | None = None) -> Estimate:
    """A mean, with an interval over a sample that allows for skewed values. Nulls (NaN) say nothing.

    The interval is the normal one, made longer on one side as Hall has it (On the Removal of Skewness by
    Transformation, 1992): of most counts many are small and a few large.
    Where hardly any value of a sample differs from the others, nothing is known of how large the values of rows can be
    that were not taken: there is no interval then.
    """
    seen = values[~np.isnan(values)]
    n = len(seen)
    value = float(seen.mean()) if n else UNKNOWN
    if not _sampled(len(values), of) or not n:
        return Estimate(value=value, low=value, high=value, n=n)
    if n < 2 or seen.min() == seen.max():
        return unestimated(value, n, TOO_FEW if n < 2 else CONSTANT)
    if n - int(np.unique(seen, return_counts=True)[1].max()) < DIFFERING_ROWS:
        return unestimated(value, n, HARDLY_ANY if n > DIFFERING_ROWS else TOO_FEW)
    draws = _effective(n, of)
    spread = float(seen.std(ddof=1))
    skew = float(np.mean(((seen - value) / spread) ** 3))
    step = spread / math.sqrt(draws)
    down, up = (abs(_unskewed(end, skew, draws)) for end in (Z_95, -Z_95))
    # A sample sees less skew than there is, so the end that Hall brings nearer stays where the normal one is.
    return Estimate(value=value, low=value - step * max(Z_95, down), high=value + step * max(Z_95, up), n=n)


def _unskewed(z: float, skew: float, n: float) -> float:
    """What a normal quantile is on the scale of a mean of skewed values: the inverse of Hall's third transformation."""
    if abs(skew) < 1e-6:
        return z
    third = skew / 3
    inner = 1 + 3 * third * (z / math.sqrt(n) - skew / (6 * n))
    return math.sqrt(n) / third * (float(np.cbrt(inner)) - 1)


def total(values: np.ndarray[Any, Any], of: int | None = None) -> Estimate:
    """A sum over all rows, scaled up from a sample by its mean."""
    if not _sampled(len(values), of) or of is None:
        value = float(np.nansum(values))
        return Estimate(value=value, low=value, high=value, n=len(values))
    each = mean(np.nan_to_num(values), of)
    if each.note:
        return unestimated(each.value * of, each.n, each.note)
    return Estimate(value=each.value * of, low=max(0.0, each.low) * of, high=each.high * of, n=each.n)


def median(values: np.ndarray[Any, Any], of: int | None = None) -> Estimate:
    """A median, with the interval of its order statistics over a sample (binomial, normal approximation)."""
    seen = np.sort(values[~np.isnan(values)])
    n = len(seen)
    value = float(np.median(seen)) if n else UNKNOWN
    if not _sampled(len(values), of) or not n:
        return Estimate(value=value, low=value, high=value, n=n)
    if n < MEDIAN_ROWS:
        return unestimated(value, n, TOO_FEW)
    half = Z_95 * np.sqrt(n) / 2
    low, high = max(0, int(n / 2 - half)), min(n - 1, int(np.ceil(n / 2 + half)))
    return Estimate(value=value, low=float(seen[low]), high=float(seen[high]), n=n)


def distinct(count: int, n: int, of: int | None = None) -> Estimate:
    """How many different values there are: of a sample at least as many as were seen, and nobody knows how many."""
    if not _sampled(n, of):
        return Estimate(value=count, low=count, high=count, n=n)
    return Estimate(value=count, low=count, high=UNKNOWN, n=n, note="at least; a sample does not see all")


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


_SEEN_TOO_FEW = ("exact.", "near.", "labels.conflict")
"""Of what these columns say a sample sees too little."""
Estimated = Callable[[int, int, "int | None"], Estimate]
"""How the share of all rows follows from a count among those looked at."""


def estimated_by(column: str) -> Estimated:
    """How the share of rows that a rule over a column removes is estimated: of some a sample sees too few or many."""
    if column.startswith(_SEEN_TOO_FEW):
        return repeats
    return at_most if column == "labels.suspect" else share


def kept(failed: Mapping[str, np.ndarray[Any, Any]], columns: Mapping[str, str], of: int | None = None) -> Estimate:
    """The share of rows that no rule removes.

    What rules over repeats remove beside the others is estimated by itself (:func:`repeats`), and so is what a rule
    over suspect labels does (:func:`at_most`); the ends of the parts are added, which is wider than need be.

    Args:
        failed: by rule (N,) bool, the rows that fail it; at least one rule.
        columns: by rule, what it goes by.
        of: rows that the sample was taken from.
    """
    parts: dict[Estimated, np.ndarray[Any, Any]] = {}
    for name, mask in failed.items():
        by = estimated_by(columns.get(name, ""))
        parts[by] = parts[by] | mask if by in parts else mask
    n = len(next(iter(failed.values())))
    gone, low, high = np.zeros(n, bool), 0.0, 0.0
    for by in (share, repeats, at_most):
        if by in parts:
            found = by(int((parts[by] & ~gone).sum()), n, of)
            gone, low, high = gone | parts[by], low + found.low, high + found.high
    value = float((~gone).mean()) if n else 0.0
    if not _sampled(n, of):
        return Estimate(value=value, low=value, high=value, n=n)
    return Estimate(value=value, low=max(0.0, 1 - high), high=max(value, 1 - low), n=n)


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
