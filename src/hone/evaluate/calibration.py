"""Probabilities that mean what they say: temperature scaling, a threshold for labels, and the error before and after.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", arXiv:1706.04599: one number
divides all logits, fitted by likelihood on held-out rows; no answer changes by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError

Floats = NDArray[np.float64]
BINS = 15
"""Equal-width bins of the expected calibration error, as in Guo et al."""
LEAST_LOG, MOST_LOG = -3.0, 3.0
"""Natural logs of the temperatures looked at: 0.05 to 20."""
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What was fitted on dev, and what it did there: on the rows of the fit, so a little too good."""

    temperature: float
    threshold: float
    rows: int
    nll_before: float
    """Nats per decision."""
    nll_after: float
    ece_before: float
    """Expected calibration error over 15 equal-width bins of the confidence."""
    ece_after: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, with where they come from."""
        return {**asdict(self), "fitted_on": "dev", "bins": f"{BINS} of equal width"}

    def line(self, *, several: bool) -> str:
        """One line for people."""
        chosen = f", threshold {self.threshold:.2f}" if several else ""
        chosen += " (every row is right, so no other is the likeliest)" if self.temperature == 1.0 else ""
        return (
            f"calibrated on {self.rows:,} dev rows: temperature {self.temperature:.2f}{chosen}; there the expected "
            f"calibration error goes {self.ece_before:.3f} -> {self.ece_after:.3f} ({BINS} bins of equal width) and "
            f"the loss {self.nll_before:.3f} -> {self.nll_after:.3f} nats"
        )


def calibrate_classes(logits: Floats, targets: NDArray[np.int64]) -> Calibration:
    """Fit the temperature of a softmax over (rows, classes).

    Raises:
        InputError: without rows.
    """
    _check_rows(logits)

    def nll(temperature: float) -> float:
        scaled = logits / temperature
        return float(np.mean(_log_sum(scaled) - scaled[np.arange(len(targets)), targets]))

    def ece(temperature: float) -> float:
        shares = softmax(logits / temperature)
        return calibration_error(shares.max(axis=1), shares.argmax(axis=1) == targets)

    return _fitted(nll, ece, rows=len(logits), undecided=bool((logits.argmax(axis=1) == targets).all()))


def calibrate_labels(logits: Floats, labels: Floats, score: Callable[[NDArray[np.bool_]], float]) -> Calibration:
    """Fit the temperature of (rows, labels) sigmoids, and choose the one threshold that scores best.

    Args:
        logits: (rows, labels).
        labels: (rows, labels), 0 or 1.
        score: rates decisions (rows, labels), higher is better: the task's metric.

    Raises:
        InputError: without rows.
    """
    _check_rows(logits)

    def nll(temperature: float) -> float:
        return float(np.mean(np.logaddexp(0.0, np.where(labels > 0, -logits, logits) / temperature)))

    def ece(temperature: float) -> float:
        chance = sigmoid(logits / temperature).ravel()
        said = chance >= 0.5
        return calibration_error(np.where(said, chance, 1 - chance), said == (labels.ravel() > 0))

    fitted = _fitted(nll, ece, rows=len(logits), undecided=bool(((logits > 0) == (labels > 0)).all()))
    chance = sigmoid(logits / fitted.temperature)
    # The middle of the best ones: a plateau's edge would be a matter of luck.
    grid = np.linspace(0.01, 0.99, 99)
    scores = np.array([score(chance >= threshold) for threshold in grid])
    best = grid[scores >= scores.max() - 1e-12]
    return Calibration(**{**asdict(fitted), "threshold": round(float(best[len(best) // 2]), 4)})


def calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: the mean distance of accuracy and confidence over bins, by their rows.

    Args:
        confidence: of each decision, in [0, 1].
        right: whether it was right.
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right.astype(float) - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def softmax(logits: Floats) -> Floats:
    """(rows, classes) shares that sum to 1."""
    return np.asarray(np.exp(logits - _log_sum(logits)[:, None]))


def sigmoid(logits: Floats) -> Floats:
    """Each logit's chance."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


def _log_sum(logits: Floats) -> Floats:
    top = logits.max(axis=1)
    return np.asarray(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def _fitted(nll: Callable[[float], float], ece: Callable[[float], float], *, rows: int, undecided: bool) -> Calibration:
    # Where every row is right no temperature is the likeliest, only ever smaller ones.
    temperature = 1.0 if undecided else float(np.exp(_least(lambda log: nll(float(np.exp(log))))))
    return Calibration(
        temperature=round(temperature, 4),
        threshold=0.5,
        rows=rows,
        nll_before=nll(1.0),
        nll_after=nll(temperature),
        ece_before=ece(1.0),
        ece_after=ece(temperature),
    )


def _least(function: Callable[[float], float], steps: int = 40) -> float:
    """Where a function with one valley is least, by golden section: the likelihood is convex in 1 / temperature."""
    low, high = LEAST_LOG, MOST_LOG
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2


def _check_rows(logits: Floats) -> None:
    if len(logits) == 0:
        raise InputError("nothing to calibrate with: dev has no rows whose labels are known")
