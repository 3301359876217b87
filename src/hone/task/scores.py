"""A score is a number with its uncertainty: the mean, a 95 % interval and the number of rows.

Two intervals are used, and each metric names its own:

- **Wilson** for a share of rows that are right or wrong (accuracy, exact match): closed form, sensible at 0 and 1
  where the bootstrap collapses to a point. E. B. Wilson, JASA 22 (1927) 209-212.
- **Percentile bootstrap over rows** for everything else. Rows are resampled with replacement by weights, so a
  metric is a function of row weights (:data:`Statistic`) and nothing is scored twice. B. Efron, Annals of
  Statistics 7 (1979) 1-26.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From row weights ``(resamples, rows)`` to one value per resample ``(resamples,)``; weights sum to the rows."""

Z_95 = 1.959963984540054
_CHUNK_WEIGHTS = 4_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A metric's value over ``n`` rows and the 95 % interval ``[low, high]`` around it."""

    name: str
    mean: float
    low: float
    high: float
    n: int
    higher_is_better: bool = True

    @property
    def pessimistic(self) -> float:
        """The worse end of the interval: ``low`` where higher is better, else ``high``."""
        return self.low if self.higher_is_better else self.high

    def reaches(self, target: float) -> bool:
        """Whether the pessimistic end is at the target or beyond it."""
        return self.low >= target if self.higher_is_better else self.high <= target

    def gap(self, target: float) -> float:
        """How much the pessimistic end still has to move towards the target; 0 when it is reached."""
        return max(0.0, target - self.low if self.higher_is_better else self.high - target)

    def better_than(self, other: Score) -> bool:
        """Whether the mean is better than another score's (no claim of significance)."""
        return self.mean > other.mean if self.higher_is_better else self.mean < other.mean

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` gives the same score back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Score:
        """The score that :meth:`to_json` wrote."""
        return cls(**data)

    def __str__(self) -> str:
        return f"{self.name} {self.mean:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n:,}"


def wilson(successes: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share: ``successes`` right out of ``n > 0`` rows; of 95 %, or as ``z`` says."""
    share, z2 = successes / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the formula is exact, its floats are not: 0 of n must not give a low of 1e-17.
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return low, high


def mean_of(values: Floats) -> Statistic:
    """The weighted mean of one value per row."""
    return lambda weights: np.asarray(weights @ values / weights.sum(axis=1))


def ratio_of(numerators: Floats, denominators: Floats) -> Statistic:
    """The ratio of two weighted sums (a micro average); 0 where the denominator is 0."""

    def ratio(weights: Floats) -> Floats:
        below = weights @ denominators
        return np.divide(weights @ numerators, below, out=np.zeros_like(below), where=below != 0)

    return ratio


def point(statistic: Statistic, n: int) -> float:
    """The statistic of the ``n`` rows as they are, each with weight 1."""
    return float(statistic(np.ones((1, n)))[0])


def bootstrap(statistic: Statistic, n: int, *, n_boot: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of a statistic over ``n_boot`` resamples of ``n`` rows.

    The interval is conditional on the rows being independent. A single row, or rows that are all alike,
    give an interval of no width: callers widen it (see :func:`hone.task.metrics.Metric.score`).
    """
    values = np.concatenate([statistic(weights) for weights in resamples(n, n_boot=n_boot, seed=seed)])
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def resamples(n: int, *, n_boot: int, seed: int) -> Iterator[Floats]:
    """Row weights of ``n_boot`` resamples of ``n`` rows, in blocks ``(resamples, n)`` of at most 32 MB.

    Each row of weights is one draw of Multinomial(n, 1/n). The same ``n``, ``n_boot`` and ``seed`` give the same
    weights, which is what makes a difference of two systems on the same rows *paired*.
    """
    generator = np.random.default_rng(seed)
    size = max(1, _CHUNK_WEIGHTS // n)
    for start in range(0, n_boot, size):
        count = min(size, n_boot - start)
        draws = generator.integers(0, n, size=(count, n)) + np.arange(count)[:, None] * n
        yield np.bincount(draws.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)
