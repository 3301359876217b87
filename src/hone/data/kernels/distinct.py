"""Distinct values of an array, by sorting."""

from __future__ import annotations

from typing import Any

import numpy as np


def distinct(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Sorted distinct values (K,) of an array (N,).

    ``numpy.unique`` without counts hashes since 2.3, which on half a million integers takes forty times as long.
    """
    ordered = np.sort(values, axis=None)
    keep = np.ones(len(ordered), bool)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]
