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
Points = Sequence[tuple[int, float]]
"""(steps done, value)."""
_MOST_TIMES = 8
LEAST_POINTS = 4
"""Fewer points tell noise and course apart in no way."""
_WINDOW_SHARE = 0.2
_LEAST_WINDOW, _MOST_WINDOW = 5, 31
_SURE = 2.0
"""Standard errors beyond which a difference is no chance."""
_MOST_MOVED = 2.0
"""Standard deviations of the noise by which smoothing may move a point: what is beyond is course, not noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smooth:
    """What lies under a noisy curve, at its own steps."""

    steps: Floats
    measured: Floats
    """The points as they were."""
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
    """Where the lowest value was measured."""
    low: int
    """From this step..."""
    high: int
    """...to this one the curve is as low as at :attr:`step`, as far as its noise can tell."""
    value: float
    """Measured at :attr:`step`."""
    rise: float
    """End minus lowest of the smoothed curve: of many noisy values the lowest lies too low."""
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
    last: float
    """Fall of the value in the last doubling of steps."""
    error: float
    """Standard error of :attr:`expected`."""
    ratio: float
    """Fall of the last doubling of steps over that of the one before; 1 where it did not slow down."""

    @property
    def sure(self) -> bool:
        """Whether it is more than noise."""
        return self.expected > _SURE * self.error

    @property
    def was_falling(self) -> bool:
        """Whether the last doubling brought more than noise."""
        return self.last > _SURE * self.error / max(self.ratio, 0.25)

    def doublings(self, material: float) -> int:
        """How many times the steps until another doubling would not count: a power of two, at most eight."""
        times, left = 1, self.expected
        while left > material and times < _MOST_TIMES:
            times, left = 2 * times, left * max(self.ratio, 0.1)
        return times


def in_order(points: Points) -> tuple[Floats, Floats]:
    """Steps and values in order; of a repeated step (after a resume) the last is taken."""
    by_step = {int(step): float(value) for step, value in points}
    steps = sorted(by_step)
    return np.array(steps, dtype=np.float64), np.array([by_step[step] for step in steps], dtype=np.float64)


def best_step(metric: Points, loss: Points, *, higher_is_better: bool) -> int:
    """The step that a run keeps by its metric (:meth:`hone.train.records.Evaluated.beats`).

    Of equal values never that of step 0, then the one with the lowest loss, then the first.
    """
    values, losses, sign = dict(metric), dict(loss), -1.0 if higher_is_better else 1.0
    return min(values, key=lambda step: (sign * values[step], step == 0, losses.get(step, math.inf), step))


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

    A fifth of the points, 5 to 31, are neighbours. A single wild point is taken back to the median of five first. No
    other point is moved by more than twice the noise, nor beyond what was measured: a line through few points would
    draw the fall of the first steps into the place where the curve turns.
    """
    at, raw = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    noise = noise_of(raw)
    tame = _without_wild(raw, noise)
    size = min(len(at), max(_LEAST_WINDOW, min(_MOST_WINDOW, round(_WINDOW_SHARE * len(at)))))
    if size < 3:
        return Smooth(steps=at, measured=raw, values=tame, errors=np.full(len(at), noise), noise=noise)
    rows = [_weights(at, index, size) for index in range(len(at))]
    found = np.array([row @ tame for row in rows])
    errors = np.array([noise * math.sqrt(float(row @ row)) for row in rows])
    # The first point stands before the steepest fall: a line through what follows would miss it.
    found[0], errors[0] = tame[0], noise
    most = np.where(tame == raw, _MOST_MOVED * noise, np.inf)
    found = np.clip(found, tame - most, tame + most)
    return Smooth(steps=at, measured=raw, values=found.clip(tame.min(), tame.max()), errors=errors, noise=noise)


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
        # Far from each neighbour, too: the turn behind a steep fall is far from their median alone.
        sides = np.abs(values[[index - 1, index + 1]] - values[index])
        far = min(abs(values[index] - middle), float(sides.min())) > 6.0 * noise
        if far and values[index] in (near.max(), near.min()):
            tame[index] = middle
    return tame


def turn_of(course: Smooth) -> Turn:
    """The lowest place of a curve, as it was measured; how far it rose since, and what is as low, as smoothed."""
    lowest, smoothed = int(np.argmin(course.measured)), int(np.argmin(course.values))
    within = course.values - course.values[smoothed] <= _SURE * np.hypot(course.errors, course.errors[smoothed])
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
        value=float(course.measured[lowest]),
        rise=float(course.values[-1] - course.values[smoothed]),
        error=float(np.hypot(course.errors[-1], course.errors[smoothed])),
    )


def first_as_low(course: Smooth, value: float) -> int:
    """The first step from which the curve is at or below a value."""
    below = np.flatnonzero(course.values <= value)
    return int(course.steps[below[0]]) if len(below) else int(course.steps[-1])


def gain_of_doubling(course: Smooth, until: float | None = None) -> Gain:
    """What twice the steps would bring, from the falls of the last two doublings of steps.

    A power law's falls shrink by the same factor with each doubling, those of an approach to a floor by an ever smaller
    one; so the next doubling brings at most the last fall times its ratio to the fall before. A loss has no floor below
    zero, and a power law towards zero loses the same share with each doubling: no more than that is expected.

    Args:
        course: the smoothed curve, its steps counted from the start of training.
        until: the step that counts as the end (before the rate was lowered, say).
    """
    end = float(course.steps[-1]) if until is None else until
    places = [end / 4, end / 2, end]
    before, last = (course.at(a) - course.at(b) for a, b in pairwise(places))
    error = float(np.hypot(course.error_at(end / 2), course.error_at(end)))
    ratio = 1.0 if before <= 0 else min(1.0, max(0.0, last / before))
    lowest, half = float(course.values[-1]), course.at(end / 2)
    if half > 0:
        ratio = min(ratio, max(0.0, lowest / half))
    return Gain(expected=max(0.0, last) * ratio, last=max(0.0, last), error=error * max(ratio, 0.25), ratio=ratio)
