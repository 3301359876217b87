"""Mirrors of a run to TensorBoard, W&B (offline) and MLflow (local files). Never the truth, never a reason to stop.

A run's own files are written first. A mirror that fails is said once, gets nothing more in that run, and what it
missed is counted and said at the end. Nothing leaves the machine: W&B runs offline with its error reporting off
(``wandb sync`` sends a run if its owner wants that), MLflow writes local files with its telemetry off.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hone.errors import InputError, nearest
from hone.lab.record import Header


class Tracker(Protocol):
    """Something that is told what a run does. Methods may raise: :class:`Mirrors` deals with it."""

    name: str

    def start(self, run: Header, config: Mapping[str, Any]) -> None:
        """A run begins, or goes on after a pause; ``config`` is its recipe."""

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Values after a step: numbers, and now and then a text."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """The run is finished or let go; ``result`` may hold ``scores`` by metric as plain values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerKind:
    """One line of the table of trackers."""

    module: str
    """Module of this package that defines ``open_tracker(folder) -> Tracker``."""
    packages: tuple[str, ...]
    """Import names, of which one must be there."""
    extra: str
    """The extra of hone that installs it."""


TRACKERS: dict[str, TrackerKind] = {
    "tensorboard": TrackerKind(
        module="hone.lab.to_tensorboard", packages=("tensorboard", "tensorboardX"), extra="tensorboard"
    ),
    "wandb": TrackerKind(module="hone.lab.to_wandb", packages=("wandb",), extra="wandb"),
    "mlflow": TrackerKind(module="hone.lab.to_mlflow", packages=("mlflow",), extra="mlflow"),
}


def check_trackers(names: Iterable[str]) -> None:
    """Check names and packages without importing them.

    Raises:
        InputError: every unknown name with the nearest, every missing package with the command that installs it.
    """
    problems = []
    for name in names:
        kind = TRACKERS.get(name)
        if kind is None:
            problems.append(f'no tracker "{name}"; {nearest(name, list(TRACKERS))}')
        elif not any(importlib.util.find_spec(package) for package in kind.packages):
            wanted = " or ".join(kind.packages)
            problems.append(f'tracker "{name}" needs the package {wanted}: pip install "hone-lm[{kind.extra}]"')
    if problems:
        raise InputError(problems)


def open_trackers(names: Sequence[str], folder: Path) -> list[Tracker]:
    """Trackers by name, writing below ``folder``; :func:`check_trackers` first. Packages load at ``start``."""
    check_trackers(names)
    trackers: list[Tracker] = []
    for name in dict.fromkeys(names):
        module = importlib.import_module(TRACKERS[name].module)
        tracker: Tracker = module.open_tracker(folder)
        trackers.append(tracker)
    return trackers


class Mirrors:
    """Several trackers that cannot hurt a run.

    Attributes:
        missed: records that a tracker did not take, by its name.
    """

    def __init__(self, trackers: Sequence[Tracker], say: Callable[[str], None] = print) -> None:
        self._trackers = tuple(trackers)
        self._say = say
        self._failed: set[str] = set()
        self.missed: dict[str, int] = {}

    def start(self, run: Header, config: Mapping[str, Any]) -> None:
        """Tell all that a run begins; those that failed before get a new chance."""
        self._failed.clear()
        self._tell("start", lambda tracker: tracker.start(run, config))

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Tell all what was logged after a step."""
        self._tell("log", lambda tracker: tracker.log(step, values))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Tell all that the run is over, and say what any of them missed."""
        self._tell("finish", lambda tracker: tracker.finish(result))
        for name, count in self.missed.items():
            self._say(f"mirror {name}: {count:,} records are not in it; the run's own files have them all")

    def _tell(self, what: str, call: Callable[[Tracker], None]) -> None:
        for tracker in self._trackers:
            if tracker.name not in self._failed:
                try:
                    call(tracker)
                    continue
                except Exception as error:  # whatever a foreign package raises, the run goes on
                    self._failed.add(tracker.name)
                    self._say(
                        f"mirror {tracker.name} failed at {what} ({type(error).__name__}: {error}); "
                        "the run goes on without it"
                    )
            self.missed[tracker.name] = self.missed.get(tracker.name, 0) + 1


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite and non-finite numbers among the values, as floats; texts and ``None`` are left to the JSONL."""
    return {key: float(value) for key, value in values.items() if isinstance(value, int | float)}


def flat_scores(result: Mapping[str, Any]) -> dict[str, float]:
    """Final scores as single numbers, for example ``{"dev/field_f1": 0.86, "dev/field_f1_low": 0.84}``."""
    # No name is a folder of another: MLflow's file store keeps a metric in a file of its name.
    flat: dict[str, float] = {}
    for name, score in result.get("scores", {}).items():
        flat[f"dev/{name}"] = score["mean"]
        flat |= {f"dev/{name}_{end}": score[end] for end in ("low", "high") if math.isfinite(score[end])}
    return flat


def quiet_environment(values: Mapping[str, str]) -> None:
    """Set variables that a tracking package reads at its import (offline, no telemetry), whatever they were before."""
    os.environ.update(values)
