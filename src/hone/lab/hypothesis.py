"""What a run was meant to show, and what it showed: the difference of dev scores with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hone.task.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """A run's score minus another's, in the metric's own unit, with a 95 % interval."""

    metric: str
    mean: float
    low: float
    high: float
    higher_is_better: bool
    method: str = "square-and-add"
    """How the interval was made; ``square-and-add`` takes the two scores as independent."""

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` when the interval lies on one side of zero, else ``undecided``."""
        if self.low <= 0 <= self.high:
            return "undecided"
        return "better" if (self.mean > 0) == self.higher_is_better else "worse"

    def to_json(self) -> dict[str, Any]:
        """Plain values, the verdict among them."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Effect:
        """The effect that :meth:`to_json` wrote."""
        return cls(**{key: value for key, value in data.items() if key != "verdict"})

    def __str__(self) -> str:
        return f"{self.metric} {self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}] {self.verdict}"


def difference(child: Score, parent: Score) -> Effect:
    """The effect of a change from two scores alone, by squaring and adding the half widths of their intervals.

    Right for independent rows; too wide (never too narrow) for two models on the *same* rows, whose errors go
    together: where the rows are at hand, a paired bootstrap is sharper. Source: R. G. Newcombe, Statistics in
    Medicine 17 (1998) 873-890, method 10; G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702.

    Raises:
        ValueError: when the scores are of two metrics.
    """
    if (child.name, child.higher_is_better) != (parent.name, parent.higher_is_better):
        raise ValueError(f"two metrics have no difference: {child.name} and {parent.name}")
    mean = child.mean - parent.mean
    return Effect(
        metric=child.name,
        mean=mean,
        low=mean - math.hypot(child.mean - child.low, parent.high - parent.mean),
        high=mean + math.hypot(child.high - child.mean, parent.mean - parent.low),
        higher_is_better=child.higher_is_better,
    )


def effect_between(child: Mapping[str, Score], parent: Mapping[str, Score], metric: str = "") -> Effect | None:
    """The effect in the named metric, or else in the only one that both have; ``None`` when there is no such."""
    common = [name for name in child if name in parent and metric in ("", name)]
    return difference(child[common[0]], parent[common[0]]) if len(common) == 1 else None
