"""The effect of a change measured over several seeds on the same rows, and the smallest one that could be seen.

Seeds and rows both vary: another seed trains another model, other rows are other questions. The interval counts both
(crossed random effects, conservative: the variance that they share is counted twice), with Satterthwaite's degrees of
freedom. F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110-114.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError

Floats = NDArray[np.float64]
POWER = 0.8
"""Chance with which the smallest detectable difference is found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """A mean difference, its 95 % interval, and ``detectable``: what would be found in four of five repetitions."""

    mean: float
    low: float
    high: float
    detectable: float
    seeds: int
    rows: int

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` only when the whole interval lies on that side of 0."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference seen"

    def to_json(self) -> dict[str, Any]:
        """Plain values, the verdict included."""
        return {**asdict(self), "verdict": self.verdict}


def crossed_effect(differences: Floats) -> Effect:
    """The effect from differences ``(seeds, rows)``, more than 0 being better.

    Raises:
        InputError: for fewer than 2 seeds or rows.
    """
    seeds, rows = differences.shape
    if seeds < 2 or rows < 2:
        raise InputError(f"an interval needs at least 2 seeds and 2 rows; got {seeds} and {rows}")
    by_seed = float(differences.mean(axis=1).var(ddof=1)) / seeds
    by_row = float(differences.mean(axis=0).var(ddof=1)) / rows
    mean, error = float(differences.mean()), float(np.sqrt(by_seed + by_row))
    below = by_seed**2 / (seeds - 1) + by_row**2 / (rows - 1)
    freedom = (by_seed + by_row) ** 2 / below if below > 0 else float(rows - 1)
    half = t_quantile(0.975, freedom) * error
    return Effect(
        mean=mean,
        low=mean - half,
        high=mean + half,
        detectable=half + t_quantile(POWER, freedom) * error,
        seeds=seeds,
        rows=rows,
    )


def t_quantile(share: float, freedom: float) -> float:
    """The quantile of Student's t, by bisection over its integrated density; to about 1e-6.

    Args:
        share: from 0.5 up to 1, exclusive.
        freedom: degrees of freedom, from 1.
    """
    # The angle a = atan(t / sqrt(v)) has the density cos(a)**(v - 1) on (-pi/2, pi/2): no tail is cut off. With many
    # degrees of freedom nearly all of it lies near 0: what is left out there is further than 50 standard deviations.
    angles = np.linspace(0, min(np.pi / 2, 60 / np.sqrt(freedom)), 20_001)
    density = np.cos(angles[:-1] + angles[1] / 2) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density)])
    at = float(np.interp(share - 0.5, below / below[-1] / 2, angles))
    return float(np.tan(at) * np.sqrt(freedom))
