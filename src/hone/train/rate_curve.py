"""Is the learning rate too high or too low? What the curve itself says, with the figure and what to set instead.

Too high: the loss is above where it began, or has lost much of what was gained, for a whole block of steps; or it jumps
about while nearly every gradient is clipped and steps move weights by a tenth; or it has not come below its first value
and steps move them by nearly as much. Too low:
the loss falls in a straight line, little, and steps move weights by less than half of what is usual; or the weights
would not move by two percent in the whole run. The yardstick is a step that moves weights by about a thousandth of
their norm (A. Karpathy's rule of thumb); the ratio alone convicts nobody: from scratch it is larger for long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hone.train.curves import Floats

USUAL_UPDATE = 1e-3
"""Norm of a step's change over the norm of what it changes."""
LEAST_POINTS = 30
_RISEN, _FAR_ABOVE = 1.05, 1.5
_LOST = 0.3
"""Share of what was gained that may be lost again."""
_THROWN, _THROWN_POINTS, _STAYED = 1.1, 10, 0.5
"""A loss that stood so far above that of the untrained model, for so many points, and ended above this share of it."""
_CLIPPED = 0.9
_LARGE_UPDATE, _SMALL_UPDATE = 0.1, 5e-4
_UNLEARNED_UPDATE, _LEAST_UNLEARNED = 0.09, 50
"""The update that convicts a run that has learned nothing, and from how many points on."""
_LEAST_WAY = 0.02
"""Way of the weights over a whole run, in a straight line, over their norm."""
_LEAST_STEPS = 100
_SLOW = 0.25
"""A loss that has fallen by less than this share..."""
_STRAIGHT = 0.6
"""...and in its second half by at least this share of its first half's fall, falls slowly in a straight line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RateVerdict:
    """A learning rate that its curve refutes."""

    verdict: Literal["too high", "too low"]
    sentence: str
    suggested: float
    """Peak rate to set instead."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateCurve:
    """What a run shows of its rate so far, oldest first; all of one length."""

    steps: Sequence[int]
    losses: Sequence[float]
    grad_norms: Sequence[float]
    """Before clipping."""
    clip_norm: float
    peak_rate: float
    """``learning_rate``."""
    total_steps: int
    warmup_steps: int = 0
    matrix_rate: float | None = None
    """``matrix_learning_rate``, where the optimizer has it."""
    update_ratio: float | None = None
    """Median over layers of the norm of a step's change over the norm of the weights; None where nobody measured."""


def judge_rate(curve: RateCurve) -> RateVerdict | None:
    """The verdict; None where the curve says nothing against the rate, or is too short (30 points)."""
    losses = np.asarray(curve.losses, dtype=np.float64)
    if len(losses) < LEAST_POINTS or not np.isfinite(losses).all():
        return None
    return _too_high(curve, losses) or _too_low(curve, losses)


def judge_whole(curve: RateCurve, untrained: float) -> RateVerdict | None:
    """The verdict on a run that has ended, whose loss before training is known from more rows than one batch.

    Beside what :func:`judge_rate` sees: a loss that stood a tenth above the untrained model's for a while and did not
    come below half of it was thrown far off by its first steps, even where it has fallen since.

    Args:
        curve: the run.
        untrained: loss on dev before the first step.
    """
    if found := judge_rate(curve):
        return found
    losses = np.asarray(curve.losses, dtype=np.float64)
    if len(losses) < LEAST_POINTS or not np.isfinite(losses).all():
        return None
    blocks = np.lib.stride_tricks.sliding_window_view(losses, _THROWN_POINTS)
    middles = np.median(blocks, axis=1)
    at, now = int(np.argmax(middles)), float(np.median(losses[-max(10, len(losses) // 5) :]))
    top = float(middles[at])
    if top < _THROWN * untrained or top - untrained < 3 * _error(blocks[at]) or now < _STAYED * untrained:
        return None
    told = (
        f"the loss was {untrained:.3f} before training, stood at {top:.3f} around step "
        f"{curve.steps[at + _THROWN_POINTS // 2]:,} and at {now:.3f} at the end"
    )
    return _high(curve, told, 10)


def _too_high(curve: RateCurve, losses: Floats) -> RateVerdict | None:
    size = max(10, len(losses) // 5)
    start = float(losses[0])
    blocks = [losses[end - size : end] for end in range(len(losses), size - 1, -size)]
    middles = [float(np.median(block)) for block in blocks]
    now, best, error = middles[0], min(middles), _error(blocks[0])
    step = curve.steps[-1]
    # The first loss is that of one batch, which may have been an easy one.
    if now - _RISEN * start > max(3 * error, 2.5 * _spread(blocks[0])):
        told = f"the loss stands at {now:.3f} at step {step:,}, above the {start:.3f} that it began with"
        return _high(curve, told, 10)
    # Losses so high jump widely; but nearly all of them lie above each of the first ones, and most far above.
    highest = max(losses[:3])
    if now > _FAR_ABOVE * highest and float(np.quantile(blocks[0], 0.1)) > _RISEN * highest:
        told = f"the loss stands around {now:.3f} at step {step:,}, far above the {start:.3f} that it began with"
        return _high(curve, told, 10)
    lost = now - best
    if lost > _LOST * (start - best) and lost > 0.1 * best and lost > 4.5 * error:
        told = f"the loss rose again from {best:.3f} to {now:.3f} by step {step:,}, begun at {start:.3f}"
        return _high(curve, told, 3)
    clipped = float(np.mean(np.asarray(curve.grad_norms) > curve.clip_norm))
    jumps = _spread(blocks[0])
    moved = curve.update_ratio or 0.0
    if moved > _UNLEARNED_UPDATE and now > start and len(losses) >= _LEAST_UNLEARNED:
        told = f"the loss stands at {now:.3f} at step {step:,}, no lower than the {start:.3f} that it began with"
        return _high(curve, told, 10)
    if moved > _LARGE_UPDATE and clipped >= _CLIPPED and jumps > 0.1 * start and now > 0.5 * start:
        told = f"the loss jumps by {jumps:.3f} around {now:.3f} at step {step:,}"
        return _high(curve, told, 3)
    return None


def _high(curve: RateCurve, told: str, times: int) -> RateVerdict:
    suggested = _one_digit(curve.peak_rate / times)
    clipped = float(np.mean(np.asarray(curve.grad_norms) > curve.clip_norm))
    moved = "" if curve.update_ratio is None else f", a step moves weights by {curve.update_ratio:.2g} of their norm"
    sentence = (
        f"learning rate too high: {told} ({_now(curve)}, {clipped:.0%} of gradients clipped{moved}); "
        f"{_try(curve, 1 / times)}"
    )
    return RateVerdict(verdict="too high", sentence=sentence, suggested=suggested)


def _too_low(curve: RateCurve, losses: Floats) -> RateVerdict | None:
    past = [index for index, step in enumerate(curve.steps) if step > curve.warmup_steps]
    if curve.update_ratio is None or curve.update_ratio > _SMALL_UPDATE or len(past) < LEAST_POINTS:
        return None
    after = losses[past]
    size = len(after) // 5
    first, middle, last = (float(after[a : a + size].mean()) for a in (0, 2 * size, len(after) - size))
    start = max(first, float(losses[:3].mean()))
    fall, early, late = start - last, first - middle, middle - last
    error = math.sqrt(2 / size) * float(np.std(np.diff(after))) / math.sqrt(2)
    still = curve.total_steps >= _LEAST_STEPS and curve.update_ratio * curve.total_steps < _LEAST_WAY
    straight = fall > 4 * error and late >= _STRAIGHT * early and late > 2 * error
    if fall > _SLOW * start or not (still or straight):
        return None
    left = last - late / (0.4 * len(after)) * len(after) * (curve.total_steps - curve.steps[-1]) / max(
        1, curve.steps[-1]
    )
    if left < 0.5 * start:
        return None
    times = min(100.0, max(3.0, USUAL_UPDATE / max(curve.update_ratio, 1e-12)))
    suggested = _one_digit(curve.peak_rate * times)
    sentence = (
        f"learning rate too low: the loss went {'in a straight line ' * straight}from {start:.3f} to {last:.3f} in "
        f"{curve.steps[-1]:,} steps and would be near {max(left, 0.0):.2f} at the end; a step moves weights by "
        f"{curve.update_ratio:.2g} of their norm ({USUAL_UPDATE:g} is usual; {_now(curve)}); {_try(curve, times)}"
    )
    return RateVerdict(verdict="too low", sentence=sentence, suggested=suggested)


def _now(curve: RateCurve) -> str:
    matrices = "" if curve.matrix_rate is None else f", matrix_learning_rate {curve.matrix_rate:g}"
    return f"learning_rate {curve.peak_rate:g}{matrices}"


def _try(curve: RateCurve, times: float) -> str:
    """What to set instead; the update that was measured is that of both rates, so both are changed."""
    matrices = "" if curve.matrix_rate is None else f", matrix_learning_rate {_one_digit(curve.matrix_rate * times):g}"
    return f"try learning_rate {_one_digit(curve.peak_rate * times):g}{matrices}"


def _spread(block: Floats) -> float:
    return float(1.4826 * np.median(np.abs(block - np.median(block))))


def _error(block: Floats) -> float:
    return 1.25 * _spread(block) / math.sqrt(len(block))


def _one_digit(value: float) -> float:
    return float(f"{value:.0e}")
