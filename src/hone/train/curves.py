"""Reading a noisy curve: how large its noise is, what lies under it, where it turns, what twice the steps would give.

A curve is values at rising steps. Everything here is numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_POINTS = 4
"""Fewer points tell noise and course apart in no way."""
_WINDOW_SHARE = 0.2
_LEAST_WINDOW, _MOST_WINDOW = 5, 31
_SURE = 2.0
"""Standard errors beyond which a difference is no chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smooth:
    """What lies under a noisy curve, at its own steps."""

    steps: Floats
    values: Floats
    errors: Floats
    """Standard error of each value."""
    noise: float
    """Standard deviation of one point around the course."""

    def at(self, step: float) -> float:
        """The value at a step, between points by a straight line."""
        return float(np.interp(step, self.steps, self.values))

    def error_at(self, step: float) -> float:
        """Its standard error."""
        return float(np.interp(step, self.steps, self.errors))


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The lowest place of a curve, and what came after it."""

    step: int
    low: int
    """From this step..."""
    high: int
    """...to this one the curve is as low as at :attr:`step`, as far as its noise can tell."""
    value: float
    rise: float
    """End minus lowest."""
    error: float
    """Standard error of :attr:`rise`."""

    @property
    def sure(self) -> bool:
        """Whether the rise is more than noise (three standard errors: the lowest place was looked for)."""
        return self.rise > 1.5 * _SURE * self.error


@dataclass(frozen=True, kw_only=True, slots=True)
class Gain:
    """What twice the steps would bring, if the curve goes on as it went."""

    expected: float
    """Fall of the value between the end and twice its step."""
    error: float
    ratio: float
    """Fall of the last doubling of steps over that of the one before; 1 where it did not slow down."""

    @property
    def sure(self) -> bool:
        """Whether it is more than noise."""
        return self.expected > _SURE * self.error


def noise_of(values: Sequence[float] | Floats) -> float:
    """Standard deviation of points around a smooth course, from second differences, robust against jumps.

    A smooth course has small second differences; independent noise has them with six times its variance.
    """
    found = np.asarray(values, dtype=np.float64)
    if len(found) < LEAST_POINTS:
        return float("nan")
    bends = np.diff(found, 2)
    return float(1.4826 * np.median(np.abs(bends - np.median(bends))) / math.sqrt(6.0))


def smooth(steps: Sequence[float] | Floats, values: Sequence[float] | Floats) -> Smooth:
    """A straight line through the neighbours of each point, near ones counting more (W. Cleveland 1979, tricube).

    A fifth of the points, 5 to 31, are neighbours. A single wild point is taken back to the median of five first.
    """
    at, raw = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    noise = noise_of(raw)
    tame = _without_wild(raw, noise)
    size = min(len(at), max(_LEAST_WINDOW, min(_MOST_WINDOW, round(_WINDOW_SHARE * len(at)))))
    if size < 3:
        return Smooth(steps=at, values=tame, errors=np.full(len(at), noise), noise=noise)
    rows = [_weights(at, index, size) for index in range(len(at))]
    found = np.array([row @ tame for row in rows])
    errors = np.array([noise * math.sqrt(float(row @ row)) for row in rows])
    # The first point stands before the steepest fall: a line through what follows would miss it.
    found[0], errors[0] = tame[0], noise
    return Smooth(steps=at, values=found, errors=errors, noise=noise)


def _weights(at: Floats, index: int, size: int) -> Floats:
    """What each point counts in the line's value at one of them."""
    distance = np.abs(at - at[index])
    reach = np.partition(distance, size - 1)[size - 1] * 1.0001
    weight = np.clip(1.0 - (distance / max(reach, 1e-12)) ** 3, 0.0, None) ** 3
    shift = at - at[index]
    total, first, second = weight.sum(), (weight * shift).sum(), (weight * shift**2).sum()
    spread = total * second - first * first
    if spread <= 1e-12 * max(total * second, 1e-300):
        return np.asarray(weight / total)
    return np.asarray(weight * (second - shift * first) / spread)


def _without_wild(values: Floats, noise: float) -> Floats:
    if len(values) < _LEAST_WINDOW or not noise > 0:
        return values.copy()
    tame = values.copy()
    for index in range(1, len(values) - 1):
        near = values[max(0, index - 2) : index + 3]
        middle = float(np.median(near))
        if abs(values[index] - middle) > 6.0 * noise and values[index] in (near.max(), near.min()):
            tame[index] = middle
    return tame


def turn_of(course: Smooth) -> Turn:
    """The lowest place of a smoothed curve."""
    lowest = int(np.argmin(course.values))
    within = course.values - course.values[lowest] <= _SURE * np.hypot(course.errors, course.errors[lowest])
    last = len(within) - 1
    # The lowest place lies between the neighbours of the lowest point at best.
    low, high = max(0, lowest - 1), min(last, lowest + 1)
    while low > 0 and within[low - 1]:
        low -= 1
    while high < last and within[high + 1]:
        high += 1
    return Turn(
        step=int(course.steps[lowest]),
        low=int(course.steps[low]),
        high=int(course.steps[high]),
        value=float(course.values[lowest]),
        rise=float(course.values[-1] - course.values[lowest]),
        error=float(np.hypot(course.errors[-1], course.errors[lowest])),
    )


def first_as_low(course: Smooth, value: float) -> int:
    """The first step from which the curve is at or below a value."""
    below = np.flatnonzero(course.values <= value)
    return int(course.steps[below[0]]) if len(below) else int(course.steps[-1])


def gain_of_doubling(course: Smooth, until: float | None = None) -> Gain:
    """What twice the steps would bring, from the falls of the last two doublings of steps.

    A power law falls by the same factor with each doubling, an approach to a floor by an ever smaller one; so the next
    doubling brings at most the last fall times its ratio to the fall before.

    Args:
        course: the smoothed curve, its steps counted from the start of training.
        until: the step that counts as the end (before the rate was lowered, say).
    """
    end = float(course.steps[-1]) if until is None else until
    places = [end / 4, end / 2, end]
    before, last = (course.at(a) - course.at(b) for a, b in pairwise(places))
    error = float(np.hypot(course.error_at(end / 2), course.error_at(end)))
    ratio = 1.0 if before <= 0 else min(1.0, max(0.0, last / before))
    return Gain(expected=max(0.0, last) * ratio, error=error * max(ratio, 0.25), ratio=ratio)
