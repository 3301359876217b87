"""Successive halving over paused full-horizon schedules.

Every candidate keeps the schedule of a full run (warmup, stable, decay over *its* whole horizon) and is
paused at a rung; nobody is judged on a shortened schedule, whose decay would flatter it. At each rung the
better part goes on from where it stopped.

Sources: Jamieson & Talwalkar 2016 (successive halving), Li et al. 2020 (ASHA); warmup-stable-decay as the
schedule that can be paused: Hu et al. 2024 (MiniCPM).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a candidate shows at a rung: loss on dev over supervised tokens, and the task's metric."""

    dev_loss: float
    metric: float
    higher_is_better: bool = True

    @property
    def loss_key(self) -> float:
        """Smaller is better; a loss that is not finite is worst."""
        return self.dev_loss if math.isfinite(self.dev_loss) else math.inf

    @property
    def metric_key(self) -> float:
        """Smaller is better."""
        value = -self.metric if self.higher_is_better else self.metric
        return value if math.isfinite(value) else math.inf


class Candidate(Protocol):
    """Anything with a name; the caller knows what it stands for."""

    @property
    def name(self) -> str:
        """Unique among the candidates."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One round: who ran to which step, what they showed, who goes on."""

    step: int
    reports: dict[str, Report]
    promoted: tuple[str, ...]


def rung_steps(horizon: int, rungs: int, factor: int = 2, stable_end: int | None = None) -> list[int]:
    """Steps at which candidates pause: geometric, ``horizon / factor**k``, ending at the horizon.

    Pauses lie no later than ``stable_end`` (where the decay begins), because losses in the decay fall for
    everybody and say little about who is better; the last rung is always the horizon.

    Example:
        >>> rung_steps(1600, 3)
        [400, 800, 1600]
    """
    if horizon < 1 or rungs < 1 or factor < 2:
        raise ValueError(f"need horizon >= 1, rungs >= 1, factor >= 2; got {horizon}, {rungs}, {factor}")
    cap = horizon if stable_end is None else max(1, stable_end)
    pauses = [max(1, min(cap, horizon // factor**k)) for k in range(rungs - 1, 0, -1)]
    return sorted({*pauses, horizon})


def promote(reports: dict[str, Report], keep: int) -> tuple[str, ...]:
    """The ``keep`` best by the mean of two ranks: dev loss and task metric; the loss decides ties.

    Early on the metric of a generating model sits at its floor for everybody, and the loss tells them
    apart; later the metric is what counts. The mean of ranks needs no common scale.
    """
    if not 1 <= keep <= len(reports):
        raise ValueError(f"keep must lie between 1 and {len(reports)}; got {keep}")
    by_loss = _ranks({name: report.loss_key for name, report in reports.items()})
    by_metric = _ranks({name: report.metric_key for name, report in reports.items()})
    order = sorted(reports, key=lambda name: (by_loss[name] + by_metric[name], reports[name].loss_key, name))
    return tuple(order[:keep])


def halve(
    candidates: Sequence[Candidate],
    steps: Sequence[int],
    advance: Callable[[Sequence[Any], int], dict[str, Report]],
    *,
    factor: int = 2,
    may_go_on: Callable[[], bool] = lambda: True,
) -> list[Rung]:
    """Run successive halving and return its rungs.

    Args:
        candidates: who competes.
        steps: pauses from :func:`rung_steps`; the last is the full horizon.
        advance: carries the given candidates on to a step (resuming them) and returns a report for each that
            got there; one that failed or ran out of time is left out and so not promoted.
        factor: one of ``factor`` goes on at each rung (at least one).
        may_go_on: asked before each rung; False ends the search with what there is.
    """
    alive = list(candidates)
    history: list[Rung] = []
    for index, step in enumerate(steps):
        if not alive or not may_go_on():
            break
        reports = advance(alive, step)
        if not reports:
            break
        last = index == len(steps) - 1
        keep = 1 if last else max(1, math.ceil(len(reports) / factor))
        promoted = promote(reports, keep)
        history.append(Rung(step=step, reports=reports, promoted=promoted))
        alive = [candidate for candidate in alive if candidate.name in promoted]
    return history


def _ranks(keys: dict[str, float]) -> dict[str, float]:
    """Average rank of each name (1 is best); equal values share the mean of their ranks."""
    ordered = sorted(keys.values())
    return {
        name: (ordered.index(value) + 1 + len(ordered) - ordered[::-1].index(value)) / 2 for name, value in keys.items()
    }
