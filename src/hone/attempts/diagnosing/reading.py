"""A run's files as curves: what was logged at which step, and the figures of its end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone.lab.run import Run
from hone.train.diagnosis import Curves

Point = tuple[int, float]
PARTS = ("data", "compute", "evaluation", "saving", "start", "other")


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """What a run wrote down, in step order."""

    curves: Curves
    grad_norms: list[Point]
    metric: str
    """Name of the task metric; empty where nothing was judged."""
    judged: list[tuple[int, float, float, float]]
    """Step, value and interval of the metric on dev."""
    seconds: dict[str, float]
    """Wall seconds by part; empty where the run did not get that far."""
    peak_bytes: float | None
    estimated_bytes: float | None
    padding_share: float | None
    """Of the tokens that were computed on; None where it was not written down."""
    loss_unit: str
    """What losses are told in; empty where it was not written down."""
    events: list[dict[str, Any]]
    """What guards said, in order."""
    flow: list[dict[str, Any]]
    """Looks at the layers, in order."""


def read_run(run: Run) -> Logged:
    """Read ``metrics.jsonl``, ``scores.jsonl`` and ``guards.jsonl`` of a run, finished or not."""
    rows = run.metrics()
    name, judged, higher = _judged(run)
    guards = run.guards()
    return Logged(
        curves=Curves(
            train=_points(rows, "loss"),
            dev=_points(rows, "dev_loss"),
            metric=[(step, value) for step, value, _, _ in judged],
            higher_is_better=higher,
            rates=_points(rows, "learning_rate"),
            kept_step=_kept_step(run),
        ),
        grad_norms=_points(rows, "grad_norm"),
        metric=name,
        judged=judged,
        seconds={part: value for part in PARTS if (value := _last(rows, f"seconds_{part}")) is not None},
        peak_bytes=_last(rows, "peak_bytes"),
        estimated_bytes=_last(rows, "estimated_bytes"),
        padding_share=_last(rows, "padding_share"),
        loss_unit=next((str(row["loss_unit"]) for row in rows if "loss_unit" in row), ""),
        events=[event for event in guards if event.get("kind") != "flow"],
        flow=[event for event in guards if event.get("kind") == "flow"],
    )


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    return [(int(row["step"]), _number(row[key], row, key)) for row in rows if key in row]


def _number(value: Any, row: Mapping[str, Any], key: str) -> float:
    """A logged value; what JSON has no word for was written by name."""
    if value is None:
        return float((row.get("not_finite") or {}).get(key, "nan"))
    return float(value)


def _last(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    found = [float(row[key]) for row in rows if row.get(key) is not None]
    return found[-1] if found else None


def _kept_step(run: Run) -> int | None:
    """The step of the newest best weights that lie in the run's folder."""
    found = sorted(path.name for path in run.folder.glob("checkpoints/best-*") if path.is_dir())
    return int(found[-1].removeprefix("best-")) if found else None


def _judged(run: Run) -> tuple[str, list[tuple[int, float, float, float]], bool]:
    """The task metric on dev by step; the last value of a step that was judged again after a resume."""
    records = [record for record in run.score_records() if record.split == "dev" and record.step is not None]
    names = [record.score.name for record in records]
    name = run.header.metric if run.header.metric in names else (names[0] if names else "")
    by_step = {int(record.step or 0): record.score for record in records if record.score.name == name}
    found = [
        (step, score.mean, score.low, score.high)
        for step, score in sorted(by_step.items())
        if not math.isnan(score.mean)
    ]
    higher = next((score.higher_is_better for score in by_step.values()), True)
    return name, found, higher
