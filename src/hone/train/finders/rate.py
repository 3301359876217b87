"""The range test of learning rates: the rate rises exponentially from step to step, and the loss tells.

L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hone.errors import InputError
from hone.task.recipe import Recipe
from hone.train.curves import noise_of
from hone.train.finders.trial import tried
from hone.train.objectives import Objective
from hone.train.source import BatchSource, Cursor

LEAST_STEPS = 20
BELOW, ABOVE = 1e-3, 1e2
"""The range that is tried by default, as factors of the recipe's own rate."""
STILL_SHARE = 0.1
"""Share of the steps, at the lowest rates, that say where the loss begins."""
WINDOW_SHARE = 0.07
"""Share of the steps that a smoothed loss is the mean of, around each step."""
LOST = 0.5
"""The loss has diverged when this share of what was gained is lost again..."""
RISE = 1.2
"""...or when it is above this times the loss of the beginning..."""
SHOWN = 12
"""Rates of the curve that are printed."""
BAR_WIDTH = 24
NOISE = 6.0
"""...either by so many standard deviations at least; and it has fallen when it is below the beginning by as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RatePoint:
    """One step of the test."""

    rate: float
    """Learning rate of the first optimizer (AdamW, Adafactor)."""
    loss: float
    """Mean loss per token of the step's rows, before its update."""
    smoothed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRate:
    """The curve and what it says."""

    points: tuple[RatePoint, ...]
    """By rising rate; to be drawn over the logarithm of the rate."""
    steepest: float | None
    """The rate at which the smoothed loss falls fastest; None where it never falls."""
    diverged_at: float | None
    """The rate at which half of what was gained was lost again, or the loss far above its beginning; None: never."""
    suggested: float | None
    """The smaller of ``steepest`` and a tenth of ``diverged_at``."""
    suggestion: dict[str, float]
    """Keys of the recipe with the values to set: all rates move together. Empty where the loss never falls."""

    def lines(self) -> list[str]:
        """What was found, for a person."""
        low, high = self.points[0].rate, self.points[-1].rate
        head = f"tried {len(self.points)} learning rates from {low:.2g} to {high:.2g}: "
        end = f"diverged at {self.diverged_at:.2g}" if self.diverged_at else "did not diverge"
        if self.steepest is None:
            never = f"the loss never fell clearly, and {end}; try a lower range, or more steps"
            return [*self.curve(), head + never]
        found = head + f"the loss fell steepest at {self.steepest:.2g} and {end}"
        settings = " ".join(f"{key}={value:g}" for key, value in self.suggestion.items())
        return [*self.curve(), found, f"suggested: {settings} (the smaller of the steepest and a tenth of divergence)"]

    def curve(self) -> list[str]:
        """The smoothed loss at a dozen rates and at the one where it falls steepest, a line each, with a bar."""
        at = {round(place) for place in np.linspace(0, len(self.points) - 1, min(SHOWN, len(self.points))).tolist()}
        at |= {place for place, point in enumerate(self.points) if point.rate == self.steepest}
        shown = [self.points[place] for place in sorted(at)]
        low, high = min(point.smoothed for point in shown), max(point.smoothed for point in shown)
        lines = [f"{'rate':>9}  {'loss':>8}  (smoothed; bars from {low:.4g} to {high:.4g})"]
        for point in shown:
            bar = "#" * round(BAR_WIDTH * (point.smoothed - low) / max(1e-12, high - low))
            mark = "steepest" if point.rate == self.steepest else ""
            lines.append(f"{point.rate:9.2e}  {point.smoothed:8.4g}  {bar:<{BAR_WIDTH}}  {mark}".rstrip())
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def find_rate(
    model: nn.Module,
    source: BatchSource,
    recipe: Recipe,
    *,
    objective: Objective | None = None,
    steps: int = 100,
    lowest: float | None = None,
    highest: float | None = None,
    say: Callable[[str], None] | None = None,
) -> FoundRate:
    """Train a throw-away copy with a rate that rises exponentially, until the loss diverges.

    Args:
        model: stays as it is.
        source: gives each step other rows, from its first epoch on.
        recipe: optimizer, precision, clipping, frozen parameters and rates by layer; its schedule plays no part.
            With ``muon`` both rates rise together, in the recipe's own proportion.
        objective: what fits the model's outputs by default.
        steps: rates that are tried.
        lowest: the first rate, a thousandth of the recipe's by default.
        highest: the last one, a hundred times the recipe's by default.
        say: takes a line at the beginning.

    Raises:
        InputError: for fewer than 20 steps, or a range that does not rise.
    """
    low = lowest if lowest is not None else recipe.learning_rate * BELOW
    high = highest if highest is not None else recipe.learning_rate * ABOVE
    problems = [] if steps >= LEAST_STEPS else [f"steps is {steps}; a range test needs {LEAST_STEPS} at least"]
    if not 0 < low < high:
        problems.append(f"the rates to try go from {low:g} to {high:g}; they have to rise from above 0")
    if problems:
        raise InputError(problems)
    if say is not None:
        say(f"range test: {steps} steps with learning rates from {low:.2g} to {high:.2g}, on a copy of the model")
    rates = np.geomspace(low, high, steps)
    losses: list[float] = []
    cursor = Cursor()
    with tried(model, recipe, objective) as trial:
        for rate in rates.tolist():
            rows, cursor = source.read(cursor)
            batches = trial.batches(rows, accumulate=recipe.accumulate)
            losses.append(trial.step(batches, rate / recipe.learning_rate))
            if _is_over(losses, steps):
                break
    return read_curve(rates[: len(losses)], losses, steps, recipe)


def read_curve(rates: NDArray[np.float64], losses: list[float], steps: int, recipe: Recipe) -> FoundRate:
    """What a curve says; ``losses`` may end in one that is not finite.

    Args:
        rates: (n,) tried so far.
        losses: (n,) at these rates.
        steps: of the whole test, which smoothing and noise are measured by.
        recipe: names the settings of the suggestion.
    """
    finite = np.array([loss for loss in losses if math.isfinite(loss)], dtype=np.float64)
    if not len(finite):
        raise InputError("the first loss is not finite: look at the model and the rows before looking for a rate")
    smoothed = _smoothed(finite, steps)
    begin, noise = _beginning(finite, steps)
    best = np.minimum.accumulate(smoothed)
    lost = best + np.maximum(LOST * (begin - best), NOISE * noise)
    over = np.flatnonzero(smoothed > np.where(begin - best > NOISE * noise, lost, _limit(begin, noise)))
    diverged = float(rates[over[0]]) if len(over) else None
    if diverged is None and len(finite) < len(losses):
        diverged = float(rates[len(finite)])
    steepest = _steepest(rates, smoothed, begin - NOISE * noise, steps)
    suggested = steepest
    if steepest is not None and diverged is not None:
        suggested = min(steepest, diverged / 10)
    suggestion: dict[str, float] = {}
    if suggested is not None:
        suggestion["learning_rate"] = _two_digits(suggested)
        if recipe.optimizer == "muon":
            share = recipe.matrix_learning_rate / recipe.learning_rate
            suggestion["matrix_learning_rate"] = _two_digits(suggested * share)
    points = tuple(
        RatePoint(rate=rate, loss=loss, smoothed=smooth)
        for rate, loss, smooth in zip(rates.tolist(), finite.tolist(), smoothed.tolist(), strict=False)
    )
    return FoundRate(points=points, steepest=steepest, diverged_at=diverged, suggested=suggested, suggestion=suggestion)


def _is_over(losses: list[float], steps: int) -> bool:
    """Whether the loss has diverged so far that nothing more is to be learned."""
    if not math.isfinite(losses[-1]):
        return True
    window = _window(steps)
    begin, noise = _beginning(np.array(losses), steps)
    recent = float(np.mean(losses[-window:]))
    return len(losses) > 2 * window and recent > 2 * _limit(begin, noise) - begin


def _beginning(losses: NDArray[np.float64], steps: int) -> tuple[float, float]:
    """Mean loss at the lowest rates, and the standard deviation of a smoothed loss."""
    noise = noise_of(losses)
    begin = float(losses[: max(3, round(steps * STILL_SHARE))].mean())
    return begin, noise / math.sqrt(_window(steps)) if math.isfinite(noise) else 0.0


def _limit(begin: float, noise: float) -> float:
    return max(begin * RISE, begin + NOISE * noise)


def _window(steps: int) -> int:
    return max(3, round(steps * WINDOW_SHARE)) | 1


def _smoothed(losses: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """Centred mean; at both ends over what there is."""
    kernel = np.ones(_window(steps))
    total: NDArray[np.float64] = np.convolve(losses, kernel, mode="full")
    count = np.convolve(np.ones(len(losses)), kernel, mode="full")
    start = (len(kernel) - 1) // 2
    return (total / count)[start : start + len(losses)]


def _steepest(rates: NDArray[np.float64], smoothed: NDArray[np.float64], fallen: float, steps: int) -> float | None:
    """The rate of the steepest descent before the lowest loss; None where the loss has never clearly fallen."""
    first, lowest = round(steps * STILL_SHARE), int(smoothed.argmin())
    if smoothed[lowest] >= fallen or lowest <= first:
        return None
    slopes = np.gradient(smoothed, np.log(rates[: len(smoothed)]))
    return float(rates[first + int(slopes[first : lowest + 1].argmin())])


def _two_digits(rate: float) -> float:
    return float(f"{rate:.2g}")
