"""Probabilities that mean what they say: temperature scaling, a threshold for labels, and the error before and after.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", arXiv:1706.04599: one number
divides all logits, fitted by likelihood on held-out rows; no answer changes by it.

Whether it helps is judged on rows that it was not fitted on: dev is cut into two halves, each is scaled by the
temperature of the other, and where that gains no likelihood beyond two standard errors the temperature stays 1. A
threshold is told of alike: each half is decided by that of the other, and the score of these decisions is the one to
report. (To keep 0.5 where that scores better would flatter again, by 0.015 of micro-F1 on 40 rows of three labels.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hone.errors import InputError

Floats = NDArray[np.float64]
Rating = Callable[[NDArray[np.bool_], Floats], float]
"""Rates decisions (rows, labels) against labels (rows, labels), 0 or 1; higher is better."""
BINS = 15
"""Equal-width bins of the expected calibration error, as in Guo et al."""
LEAST_LOG, MOST_LOG = -3.0, 3.0
"""Natural logs of the temperatures looked at: 0.05 to 20."""
LEAST_ROWS = 30
"""Fewer rows fit no temperature and choose no threshold."""
PLAIN_THRESHOLD = 0.5
_SURE = 2.0
"""Standard errors beyond which a gain of likelihood is no chance."""
_AT_THE_EDGE = 0.01
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What was fitted on dev, and what it does to rows that it was not fitted on.

    Loss and calibration error are those of all rows, each scaled by the temperature of the half that it is not in.
    """

    temperature: float
    """What logits are to be divided by: 1 where :attr:`why_not` says why."""
    threshold: float
    """Chance from which a label is given: 0.5 where :attr:`threshold_why_not` says why."""
    rows: int
    fitted: float
    """The likeliest temperature on all rows; 1 where none was fitted."""
    why_not: str
    """Why the fitted temperature is not applied; empty where it is."""
    nll_before: float
    """Nats per decision."""
    nll_after: float
    ece_before: float
    """Expected calibration error over 15 equal-width bins of the confidence."""
    ece_after: float
    thresholds: tuple[float, float] = (PLAIN_THRESHOLD, PLAIN_THRESHOLD)
    """Those that decide the first and the second half (:func:`first_half`), each chosen on the other one."""
    threshold_gain: float = 0.0
    """What :attr:`thresholds` gain over 0.5, in units of the task's metric, above 0 where they are better."""
    threshold_why_not: str = ""
    """Why no threshold was chosen; empty where one was, and where rows have one label."""

    def thresholds_of(self, count: int) -> list[float]:
        """For each of the ``count`` rows that it was fitted on, the threshold of the half that the row is not in."""
        return [self.thresholds[0] if first else self.thresholds[1] for first in first_half(count)]

    def to_json(self) -> dict[str, Any]:
        """Plain values, with where they come from."""
        measured = "each half of dev with the temperature of the other"
        values = {**asdict(self), "thresholds": list(self.thresholds)}
        return {**values, "fitted_on": "dev", "measured_on": measured, "bins": f"{BINS} of equal width"}

    def line(self, *, several: bool) -> str:
        """One line for people."""
        chosen = self._threshold_told() if several else ""
        if self.why_not:
            return (
                f"not calibrated: temperature 1 is kept, because {self.why_not}{chosen}; on {self.rows:,} dev rows the "
                f"expected calibration error is {self.ece_before:.3f} ({BINS} bins of equal width) and the loss "
                f"{self.nll_before:.3f} nats"
            )
        return (
            f"probabilities calibrated on {self.rows:,} dev rows: temperature {self.temperature:.2f}{chosen}; on "
            f"halves that it was not fitted on: expected calibration error {self.ece_before:.3f} -> "
            f"{self.ece_after:.3f} ({BINS} bins of equal width), loss {self.nll_before:.3f} -> {self.nll_after:.3f} "
            "nats a row"
        )

    def _threshold_told(self) -> str:
        if self.threshold_why_not:
            return f", threshold {self.threshold:g} kept ({self.threshold_why_not})"
        first, second = self.thresholds
        return (
            f", threshold {self.threshold:.2f} chosen (each half of dev is scored by that of the other, {first:.2f} "
            f"and {second:.2f}: {self.threshold_gain:+.3f} beside {PLAIN_THRESHOLD:g})"
        )


class _Decisions(Protocol):
    """Rows whose probabilities are wanted."""

    def nll(self, scale: Floats) -> Floats:
        """(rows,) nats of each row, its logits divided by its own scale (rows,)."""

    def ece(self, scale: Floats) -> float:
        """The calibration error of all decisions."""

    def right(self) -> NDArray[np.bool_]:
        """(rows,) whether each row's likeliest decisions are right."""


@dataclass(frozen=True, slots=True)
class _Classes:
    """One class of each row."""

    logits: Floats
    targets: NDArray[np.int64]

    def nll(self, scale: Floats) -> Floats:
        scaled = self.logits / scale[:, None]
        return np.asarray(_log_sum(scaled) - scaled[np.arange(len(self.targets)), self.targets])

    def ece(self, scale: Floats) -> float:
        shares = softmax(self.logits / scale[:, None])
        return calibration_error(shares.max(axis=1), self.right())

    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.logits.argmax(axis=1) == self.targets)


@dataclass(frozen=True, slots=True)
class _Labels:
    """Any number of labels of each row, each decided by itself."""

    logits: Floats
    labels: Floats

    def nll(self, scale: Floats) -> Floats:
        signed = np.where(self.labels > 0, -self.logits, self.logits)
        return np.asarray(np.logaddexp(0.0, signed / scale[:, None]).mean(axis=1))

    def ece(self, scale: Floats) -> float:
        chance = sigmoid(self.logits / scale[:, None])
        said = chance >= 0.5
        confidence = np.where(said, chance, 1 - chance)
        return calibration_error(confidence.ravel(), (said == (self.labels > 0)).ravel())

    def right(self) -> NDArray[np.bool_]:
        return np.asarray(((self.logits > 0) == (self.labels > 0)).all(axis=1))


def calibrate_classes(logits: Floats, targets: NDArray[np.int64]) -> Calibration:
    """Fit the temperature of a softmax over (rows, classes).

    Raises:
        InputError: without rows.
    """
    _check_rows(logits)

    return _fitted(_Classes(logits, targets), len(logits))


def calibrate_labels(logits: Floats, labels: Floats, score: Rating) -> Calibration:
    """Fit the temperature of (rows, labels) sigmoids, and choose the one threshold that scores best.

    Args:
        logits: (rows, labels).
        labels: (rows, labels), 0 or 1.
        score: rates decisions (rows, labels) against labels of the same shape, higher is better: the task's metric.

    Raises:
        InputError: without rows.
    """
    _check_rows(logits)

    fitted, rows = _fitted(_Labels(logits, labels), len(logits)), len(logits)
    if rows < LEAST_ROWS:
        return replace(fitted, threshold_why_not=f"{rows} rows are too few to choose one, {LEAST_ROWS} are needed")
    # The temperature only moves the grid on which thresholds of the logits are looked for.
    chance, first = sigmoid(logits / fitted.temperature), first_half(rows)
    best = _best_threshold(chance, labels, score)
    others = tuple(_best_threshold(chance[half], labels[half], score) for half in (~first, first))
    by_others = chance >= np.where(first, *others)[:, None]
    gain = score(by_others, labels) - score(chance >= PLAIN_THRESHOLD, labels)
    return replace(fitted, threshold=best, thresholds=(others[0], others[1]), threshold_gain=gain)


def first_half(rows: int) -> NDArray[np.bool_]:
    """(rows,) whether a row is in the first of two halves. They are drawn, as rows may be ordered; always the same."""
    return np.asarray(np.random.default_rng(0).permutation(rows) < rows // 2)


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


def _fitted(decisions: _Decisions, rows: int) -> Calibration:
    plain = np.ones(rows)
    fitted = _likeliest(decisions, np.ones(rows, np.bool_))
    why_not, scale = _fault(decisions, fitted, rows), plain
    if not why_not:
        scale = _of_the_other_half(decisions, rows)
        gains = decisions.nll(plain) - decisions.nll(scale)
        gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(rows))
        if gain <= _SURE * error:
            scale = plain
            told = f"{fitted:.2f} gains {gain:.4f} ± {error:.4f} nats on halves that it was not fitted on"
            why_not = f"{told}, no more than chance"
    return Calibration(
        temperature=1.0 if why_not else round(fitted, 4),
        threshold=PLAIN_THRESHOLD,
        rows=rows,
        fitted=round(fitted, 4),
        why_not=why_not,
        nll_before=float(decisions.nll(plain).mean()),
        nll_after=float(decisions.nll(scale).mean()),
        ece_before=decisions.ece(plain),
        ece_after=decisions.ece(scale),
    )


def _fault(decisions: _Decisions, fitted: float, rows: int) -> str:
    """Why a temperature is not to be believed whatever it gains."""
    if rows < LEAST_ROWS:
        return f"{rows} rows are too few to fit it ({LEAST_ROWS} are needed)"
    if decisions.right().all():
        return "every row is right, so no temperature is the likeliest, only ever smaller ones"
    if min(np.log(fitted) - LEAST_LOG, MOST_LOG - np.log(fitted)) < _AT_THE_EDGE:
        return f"the likeliest lies at the end of those looked at, {fitted:.2f}: the logits tell next to nothing"
    return ""


def _of_the_other_half(decisions: _Decisions, rows: int) -> Floats:
    """(rows,) for each row the temperature of the half that it is not in."""
    first = first_half(rows)
    return np.where(first, _likeliest(decisions, ~first), _likeliest(decisions, first))


def _best_threshold(chance: Floats, labels: Floats, score: Rating) -> float:
    """The threshold that scores best: the middle of the best ones, as a plateau's edge would be a matter of luck."""
    grid = np.linspace(0.01, 0.99, 99)
    scores = np.array([score(chance >= threshold, labels) for threshold in grid])
    best = grid[scores >= scores.max() - 1e-12]
    return round(float(best[len(best) // 2]), 4)


def _likeliest(decisions: _Decisions, of: NDArray[np.bool_]) -> float:
    """The likeliest temperature of some rows; 1 where all of them are right."""
    if decisions.right()[of].all():
        return 1.0
    return float(np.exp(_least(lambda log: float(decisions.nll(np.full(len(of), np.exp(log)))[of].mean()))))


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
