"""What a number of rows can prove: of few, even when all are right, the pessimistic end stays below a target."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping

from hone.task.metrics import Metric
from hone.wording import counted

MOST_ROWS = 10_000_000
"""A target that so many rows do not prove is one that no number proves: 1, where 1 is perfect."""


def rows_to_prove(metric: Metric, target: float) -> int | None:
    """The least number of rows whose score reaches a target when every answer is right; None where no number does.

    For a share it is n >= z^2 target / (1 - target), with z = 1.96: 35 rows for 0.9, 381 for 0.99.
    """
    index = bisect.bisect_left(range(1, MOST_ROWS + 1), True, key=lambda n: metric.perfect(n).reaches(target))
    return index + 1 if index < MOST_ROWS else None


def most_provable(metric: Metric, rows: Mapping[str, int]) -> float:
    """The best pessimistic end that all of the splits can reach; of splits without rows nothing is asked."""
    ends = [metric.perfect(n).pessimistic for n in rows.values() if n]
    return min(ends, default=math.inf) if metric.higher_is_better else max(ends, default=-math.inf)


def unproven(metric: Metric, target: float, rows: Mapping[str, int]) -> str:
    """A sentence on the splits that cannot prove a target even with every row right; empty where all of them can.

    Args:
        metric: the task's.
        target: that the pessimistic end has to reach.
        rows: of each split that is scored, such as ``{"dev": 16, "test": 8}``; one without rows is passed over.
    """
    short = {split: n for split, n in rows.items() if n and not metric.perfect(n).reaches(target)}
    if not short:
        return ""
    ends = [
        f"{n:,} of {counted(n, f'{split} row right gives', f'{split} rows right give')} "
        f"{metric.perfect(n).pessimistic:.3f}"
        for split, n in short.items()
    ]
    need, splits = rows_to_prove(metric, target), " and of ".join(short)
    needed = "no number of rows proves it" if need is None else f"{need:,} rows of {splits} are needed"
    return f"target {target:g} cannot be proven: at the pessimistic end even {' and '.join(ends)}; {needed}"
