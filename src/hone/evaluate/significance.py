"""Whether one model is better than another: a paired bootstrap of the difference on the same rows.

Both are scored on the same resamples, so what is hard for both cancels out and a difference shows that two separate
intervals would hide. Efron and Tibshirani, "An introduction to the bootstrap" (1993); for text, Koehn (2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hone.errors import InputError
from hone.task.metrics import Metric
from hone.task.scores import point, resamples

Verdict = Literal["better", "worse", "no difference seen"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Mine less theirs in the metric's units, turned so that more than 0 is better whatever the direction.

    ``low`` and ``high`` are the 95 % interval; ``share_better`` the share of resamples in which mine was ahead.
    """

    metric: str
    mean: float
    low: float
    high: float
    n: int
    share_better: float

    @property
    def verdict(self) -> Verdict:
        """``better`` or ``worse`` only when the whole interval lies on that side of 0."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference seen"

    def to_json(self) -> dict[str, Any]:
        """Plain values, the verdict included."""
        return {**asdict(self), "verdict": self.verdict}

    def __str__(self) -> str:
        return f"{self.metric} {self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}] n={self.n:,}: {self.verdict}"


def paired_difference(
    metric: Metric, mine: Sequence[Any], theirs: Sequence[Any], references: Sequence[Any], *, seed: int = 0
) -> Difference:
    """Compare two models' answers to the same rows over 2,000 resamples.

    Raises:
        InputError: when the three sequences are not equally long, or empty.
    """
    n = len(references)
    if not len(mine) == len(theirs) == n or n == 0:
        raise InputError(f"a paired difference needs the same rows: {len(mine):,}, {len(theirs):,} and {n:,} given")
    sign = 1.0 if metric.higher_is_better else -1.0
    ours, other = metric.prepare(mine, references), metric.prepare(theirs, references)
    blocks = [sign * (ours(weights) - other(weights)) for weights in resamples(n, n_boot=2000, seed=seed)]
    differences = np.concatenate(blocks)
    low, high = np.percentile(differences, [2.5, 97.5])
    return Difference(
        metric=metric.name,
        mean=sign * (point(ours, n) - point(other, n)),
        low=float(low),
        high=float(high),
        n=n,
        share_better=float((differences > 0).mean()),
    )
