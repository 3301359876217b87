"""Histograms of a signal: bins that end at the thresholds, so that a bin lies on one side of each line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 40
FEW_VALUES = 24
"""Whole numbers with at most so many steps between smallest and largest get a bin each."""
WIDE = 12.0
"""How many times the median the 99th percentile must be before the scale is logarithmic; shares never are."""


def histogram(values: np.ndarray[Any, Any], thresholds: Sequence[float] = (), *, whole: bool = False) -> dict[str, Any]:
    """Counts in bins.

    Args:
        values: (N,) float64; NaN (not measurable) is counted apart.
        thresholds: where bins must end.
        whole: the values are whole numbers.

    Returns:
        ``edges`` (B + 1,), ``counts`` (B,), ``scale`` (``linear`` or ``log`` of ``1 + x``), ``unmeasured``, ``median``,
        ``low`` and ``high`` percentile 5 and 95, smallest and largest, and ``beyond``: values counted in the
        last bin because they lie far outside of the rest.
    """
    seen = values[np.isfinite(values)]
    base = {"unmeasured": int(len(values) - len(seen)), "n": len(seen)}
    if not len(seen):
        return {**base, "edges": [], "counts": [], "scale": "linear"}
    smallest, largest = float(seen.min()), float(seen.max())
    p5, median, p95, p99 = (float(value) for value in np.percentile(seen, [5, 50, 95, 99]))
    scale = "log" if smallest >= 0 and p99 > WIDE * max(median, 1.0) else "linear"
    top = largest if scale == "log" or whole else _top(largest, p99, p95, thresholds)
    edges = _edges(smallest, top, thresholds, scale, whole)
    counts = np.histogram(np.minimum(seen, edges[-1]), edges)[0]
    return {
        **base,
        "edges": [float(edge) for edge in edges],
        "counts": [int(count) for count in counts],
        "scale": scale,
        "whole": whole,
        "min": smallest,
        "max": largest,
        "p5": p5,
        "median": median,
        "p95": p95,
        "beyond": int((seen > edges[-1]).sum()),
    }


def _top(largest: float, p99: float, p95: float, thresholds: Sequence[float]) -> float:
    """Where the axis ends: a few far values must not press all others into one bin."""
    reach = max([p99 + 2 * (p99 - p95), *thresholds])
    return largest if largest <= 3 * max(reach, 1e-12) or reach <= 0 else reach


def _edges(low: float, high: float, thresholds: Sequence[float], scale: str, whole: bool) -> np.ndarray[Any, Any]:
    inside = [value for value in thresholds if math.isfinite(value)]
    low, high = min([low, *inside]), max([high, *inside])
    if whole and high - low <= FEW_VALUES:
        return np.arange(math.floor(low), math.ceil(high) + 2) - 0.5
    if high <= low:
        high = low + (1.0 if whole else max(abs(low), 1.0) * 0.1)
    if scale == "log":
        edges = np.expm1(np.linspace(np.log1p(low), np.log1p(high), BINS + 1))
        # There and back is not exact, and the smallest value must not lie outside.
        edges[0], edges[-1] = low, high
    else:
        edges = np.linspace(low, high, BINS + 1)
    if whole:
        # A bin of whole numbers begins and ends half way between two of them.
        edges = np.unique(np.concatenate([np.floor(edges) - 0.5, [math.ceil(high) + 0.5]]))
        inside = [at + half for at in inside for half in (-0.5, 0.5) if low <= at + half <= high]
    return _aligned(edges, inside)


def _aligned(edges: np.ndarray[Any, Any], thresholds: Sequence[float]) -> np.ndarray[Any, Any]:
    """Move the nearest inner edge to each threshold; where there is none to move, add one."""
    moved = [float(edge) for edge in edges]
    for value in thresholds:
        nearest = min(range(len(moved)), key=lambda at: abs(moved[at] - value))
        if moved[nearest] in (moved[0], moved[-1]) or moved[nearest] in thresholds:
            moved.append(value)
        else:
            moved[nearest] = value
    return np.unique(np.asarray(moved))
