"""Learning curves made by formula, with noise, whose class is known from the formula.

Without noise a curve is, with ``t`` the share of the run that is done (0 to 1):

* dev: ``floor + (first - floor) * (1 + t/tau)**-power + turned(t)``, a power law above a floor, or in a third of the
  curves an approach ``exp(-t/tau)``; ``turned`` is ``rise * max(0, t - turn)**bend``;
* train: the same fall without the turn; where a run overfits, its floor is far lower;
* nothing learned: both stay at the first loss, falling by less than 6 % (one underfit curve in four).

Noise: training losses are of single steps and multiplied by exp(N(0, s)), s from 2 % to 12 %; dev by exp(N(0, s)), s
from 0.2 % to 1.2 %. Runs have 200 to 8,000 steps, one training loss in ten is logged, dev is evaluated 8 to 40 times.

The class follows from the curves without noise, by the criteria of ``curves.py`` with a margin, so that it is never a
matter of taste: overfit rises by at least 8 % above its lowest; underfit would fall by at least 6 % with twice the
steps (or learned nothing); a good fit rises by less than 1 % and would fall by less than 1.2 %. Draws in between are
thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLASSES = ("underfit", "overfit", "good fit")
Curve = Callable[[float], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """A noisy run, and what it is."""

    label: str
    train: list[tuple[int, float]]
    dev: list[tuple[int, float]]
    true_dev: list[tuple[int, float]]
    """Dev without noise, at every logged step."""


def generated(seed: int, per_class: int = 10) -> list[Generated]:
    """So many curves of each class; other seeds give other curves."""
    found = []
    for number, label in enumerate(CLASSES):
        for index in range(per_class):
            found.append(_one(np.random.default_rng([seed, number, index]), label, index))
    return found


def _one(rng: np.random.Generator, label: str, index: int) -> Generated:
    while True:
        dev, train = _formulas(rng, label, index)
        if label == _class(dev):
            return _with_noise(rng, label, dev, train)


def _formulas(rng: np.random.Generator, label: str, index: int) -> tuple[Curve, Curve]:
    first = rng.uniform(1.0, 9.0)
    if label == "underfit" and index % 4 == 3:
        share = rng.uniform(0.0, 0.06)
        return (lambda t: first * (1 - share * t)), (lambda t: first * (1 - share * t))
    floor = first * rng.uniform(0.05, 0.6)
    power, tau = rng.uniform(0.4, 1.5), 10 ** rng.uniform(-2.5, 0.5)
    steep = rng.random() < 1 / 3
    turn, bend = rng.uniform(0.15, 0.75), rng.uniform(1.0, 1.8)
    rise = first * rng.uniform(0.05, 0.9) if label == "overfit" else 0.0
    train_floor = floor * rng.uniform(0.0, 0.3) if label == "overfit" else floor * rng.uniform(0.9, 1.0)

    def fall(t: float) -> float:
        return float(np.exp(-t / tau)) if steep else float((1 + t / tau) ** -power)

    def dev(t: float) -> float:
        return floor + (first - floor) * fall(t) + rise * max(0.0, t - turn) ** bend

    def train(t: float) -> float:
        return train_floor + (first - train_floor) * fall(t)

    return dev, train


def _class(dev: Curve) -> str:
    """The class of a curve without noise; empty where it is between two."""
    values = [dev(t) for t in np.linspace(0, 1, 201)]
    lowest, first, end = min(values), values[0], values[-1]
    rise, gain = end / lowest - 1, 1 - dev(2.0) / end
    if end > 0.93 * first and rise < 0.01:
        return "underfit"
    if lowest > 0.8 * first:
        return ""
    if rise >= 0.08:
        return "overfit"
    if rise < 0.01 and gain >= 0.06:
        return "underfit"
    return "good fit" if rise < 0.01 and gain < 0.012 else ""


def _with_noise(rng: np.random.Generator, label: str, dev: Curve, train: Curve) -> Generated:
    steps, evaluations = int(10 ** rng.uniform(2.3, 3.9)), int(rng.integers(8, 41))
    of_train, of_dev = rng.uniform(0.02, 0.12), rng.uniform(0.002, 0.012)
    logged = range(10, steps + 1, 10)
    judged = sorted({round(steps * part / evaluations) for part in range(evaluations + 1)})
    return Generated(
        label=label,
        train=[(step, train(step / steps) * float(np.exp(rng.normal(0, of_train)))) for step in logged],
        dev=[(step, dev(step / steps) * float(np.exp(rng.normal(0, of_dev)))) for step in judged],
        true_dev=[(step, dev(step / steps)) for step in logged],
    )
