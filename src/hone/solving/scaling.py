"""How the score grows with the number of training rows: a power law through really trained subsets.

Source: Hestness et al. 2017, *Deep Learning Scaling is Predictable, Empirically*: error falls as a power of the number
of rows over a wide range. Three points are the least that can contradict a line; with fewer nothing is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEAST_POINTS = 3
MOST_ROWS_FACTOR = 100.0
"""Beyond this factor of the rows there are, an extrapolation is not worth a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One trained subset: rows and the metric on dev."""

    rows: int
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """``error = scale * rows ** -exponent``, fitted to the logarithms by least squares."""

    points: tuple[Point, ...]
    exponent: float
    scale: float
    residual: float
    """Largest relative difference of a point's error from the curve."""

    def rows_for(self, error: float) -> float:
        """Rows at which the curve reaches an error; infinite when it does not fall."""
        if self.exponent <= 0 or error <= 0:
            return math.inf
        return float((self.scale / error) ** (1 / self.exponent))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def fit_curve(points: Sequence[Point], *, higher_is_better: bool) -> Curve | None:
    """The curve through three or more subsets of different size, or None when there are too few.

    The error is ``1 - value`` for a metric in [0, 1] that is better when higher, and the value itself otherwise.
    """
    usable = {point.rows: point for point in points if _error(point.value, higher_is_better) > 0}
    if len(usable) < LEAST_POINTS:
        return None
    ordered = [usable[rows] for rows in sorted(usable)]
    x = [math.log(point.rows) for point in ordered]
    y = [math.log(_error(point.value, higher_is_better)) for point in ordered]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
    scale = math.exp(mean_y - slope * mean_x)
    gaps = [abs(math.expm1(b - (math.log(scale) + slope * a))) for a, b in zip(x, y, strict=True)]
    return Curve(points=tuple(ordered), exponent=-slope, scale=scale, residual=max(gaps))


def curve_line(curve: Curve | None, num_points: int, target: float, *, higher_is_better: bool) -> str:
    """What the curve says about more data, in a sentence."""
    if curve is None:
        return f"data scaling: too few points ({num_points} trained subsets, {LEAST_POINTS} are needed)"
    most = max(point.rows for point in curve.points)
    shown = ", ".join(f"{point.rows:,} rows {point.value:.3f}" for point in curve.points)
    needed = curve.rows_for(_error(target, higher_is_better))
    fit = f"error falls as rows^-{curve.exponent:.2f}, points within {curve.residual:.0%} of the curve"
    if not math.isfinite(needed) or needed > MOST_ROWS_FACTOR * most:
        return f"data scaling: {shown}; {fit}: more rows of this kind will not reach {target:g}"
    if needed <= most:
        return f"data scaling: {shown}; {fit}: the rows suffice by this curve, so look at recipe and model size"
    return f"data scaling: {shown}; {fit}: about {needed:,.0f} rows would reach {target:g} (there are {most:,})"


def _error(value: float, higher_is_better: bool) -> float:
    return 1 - value if higher_is_better else value
