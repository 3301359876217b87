"""What a run spent: why it is slow, part by part, and its memory beside the estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST = {"data": 0.10, "evaluation": 0.10, "saving": 0.05, "start": 0.10, "other": 0.05}
"""Share of the time that a part may take before something should be changed; what is left is compute's."""
LEAST_SECONDS = 10.0
"""A run shorter than this is not worth making faster."""
LEAST_EVALUATIONS = 4
"""With fewer on dev the diagnosis sees no overfitting (:data:`hone.train.curves.LEAST_POINTS`); step 0 is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """One part of a run's time."""

    part: str
    seconds: float
    share: float
    too_much: bool
    """Whether it takes more than its part should; for compute: whether it is what everything waits for."""
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def why_slow(
    seconds: Mapping[str, float],
    *,
    eval_every: int = 0,
    steps: int = 0,
    in_box: bool = False,
    padding_share: float | None = None,
    packing: bool = False,
) -> list[Spent]:
    """A sentence on each part of a run's time, the largest first: what it is, and what to change where it is too much.

    Args:
        seconds: by part: ``data``, ``compute``, ``evaluation``, ``saving``, ``start``, ``other``.
        eval_every: steps between evaluations, for the number to set instead.
        steps: of the whole run, which that number cannot exceed; 0 where they are not known.
        in_box: whether a box of minutes has planned how often is judged, so that no such number is told.
        padding_share: share of computed tokens that are padding, where it is known.
        packing: whether rows are packed already.
    """
    total = sum(seconds.values())
    if total <= 0:
        return []
    found = []
    for part, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        share = spent / total
        limit = MOST.get(part, 0.85)
        every = "" if in_box else less_often(share, limit, eval_every, steps)
        told = _told(part, share, limit, every)
        if part == "compute":
            told = _compute(share, padding_share, packing)
        short = share > limit and total < LEAST_SECONDS
        if short and part != "compute":
            told = f"more than {limit:.0%}, which tells little of a run of {total:.1f} s"
        found.append(Spent(part=part, seconds=spent, share=share, too_much=share > limit and not short, sentence=told))
    return found


def less_often(share: float, limit: float, eval_every: int, steps: int) -> str:
    """What to set so that a part of the time keeps to its share; empty where the end alone is judged as it is.

    Args:
        share: of all time, as it is.
        limit: what it may be.
        eval_every: as it is; 0 where it is not known.
        steps: of the whole run; 0 where they are not known.
    """
    times = max(1, math.ceil(share / limit * (1 - limit) / max(1e-9, 1 - share)))
    if not eval_every:
        return f"eval_every {times} times up"
    if steps and eval_every >= steps:
        return ""
    wanted = min(times * eval_every, steps or times * eval_every)
    alone = ", the end alone" if steps and times * eval_every > steps else ""
    unseen = " where overfitting need not be seen" if steps and 1 + -(-steps // wanted) < LEAST_EVALUATIONS else ""
    return f"eval_every to {wanted:,}{alone} (now {eval_every:,}){unseen}"


def _told(part: str, share: float, limit: float, every: str) -> str:
    if share <= limit:
        return f"within its {limit:.0%}"
    saving = "states take long to write: a faster disk under the run's folder, or a longer run"
    if every:
        saving = f"states are written often, or to a slow disk: set {every}; each evaluation saves first"
    return {
        "data": "rows are made while the model waits; what is made anew in each epoch (swap_values) costs most",
        "evaluation": f"judging takes more than a tenth: set {every and f'{every}, or '}fewer eval_rows",
        "saving": saving,
        "start": "the run is short beside its own beginning (opening, rehearsal, compiling); a longer one is not",
        "other": "recording takes long: fewer trackers, or a faster disk under the run's folder",
    }.get(part, "more than its part")


def _compute(share: float, padding_share: float | None, packing: bool) -> str:
    if share <= 0.85:
        return "arithmetic; the other parts are what can be saved"
    told = "arithmetic is nearly all there is, as it should be; to be faster compute less or faster"
    if padding_share is not None and padding_share > 0.05 and not packing:
        return f"{told}: {padding_share:.0%} of the tokens are padding, which packing saves"
    return f"{told}: a smaller preset, shorter rows, bf16-mixed where the device has it, more processes"


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryReport:
    """Memory of training as it was estimated, and as it was."""

    estimated_bytes: float
    measured_bytes: float

    @property
    def error(self) -> float:
        """(estimated - measured) / measured: above 0 where the estimate was too high."""
        return self.estimated_bytes / self.measured_bytes - 1

    def line(self) -> str:
        """One line for people."""
        return (
            f"memory of training: {self.estimated_bytes / 1e6:,.1f} MB estimated, {self.measured_bytes / 1e6:,.1f} MB "
            f"measured at the peak; the estimate was {abs(self.error):.0%} too {'high' if self.error > 0 else 'low'}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "error": self.error, "line": self.line()}


def memory_report(estimated_bytes: float | None, measured_bytes: float | None) -> MemoryReport | None:
    """Both figures with the relative error; None where one of them is missing or zero.

    Args:
        estimated_bytes: :func:`hone.model.estimate.training_memory`, its value.
        measured_bytes: :attr:`hone.train.records.FitResult.peak_bytes`.
    """
    if not estimated_bytes or not measured_bytes:
        return None
    return MemoryReport(estimated_bytes=float(estimated_bytes), measured_bytes=float(measured_bytes))
