"""Loss spikes: a step whose loss leaps out of what the last steps had."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from itertools import pairwise
from statistics import median
from typing import Any

from hone.task.recipe import Recipe
from hone.train.watching import Rewind, Say, StepView, Verdict, Watcher

Tell = Callable[[Mapping[str, Any]], None]
WINDOW = 32
LEAST_STEPS = 20
_DEVIATIONS = 8.0
_FACTOR = 1.5
_SHARE_OF_START = 0.1
_TWICE = 2


class SpikeGuard(Watcher):
    """Compares each loss with the last 32, by their median and by what neighbours differ by, in log space.

    A loss leaps when it is above the median by eight deviations, by a factor of 1.5, by a tenth of the first loss, and
    by twice the largest excess that the window has. It is a spike when it is higher than the first loss as well, or
    when the step after it leaps too: one hard batch among small ones is none. Losses that leapt stay out of the window.
    """

    name = "spikes"
    every = 1

    def __init__(self, recipe: Recipe, tell: Tell | None = None) -> None:
        self._rewinds = recipe.on_spike == "rewind"
        self._tell = tell
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._start = 0.0
        self._leapt = 0
        self._bound = math.inf

    def before_update(self, view: StepView) -> Verdict | None:
        """See :class:`hone.train.watching.Watcher`."""
        record = view.record
        if len(self._recent) < 3:
            self._start = max(self._start, record.loss)
        if record.loss < self._bound or not self._leaps(record.loss):
            self._keep(record.loss)
            return None
        self._leapt += 1
        if record.loss < 1.1 * self._start and self._leapt < _TWICE:
            return None
        return self._verdict(record.step, record.loss)

    def _keep(self, loss: float) -> None:
        self._recent.append(loss)
        self._leapt = 0
        # Nothing below this can leap: the median is asked for again only when a loss comes near.
        if len(self._recent) >= LEAST_STEPS and len(self._recent) % 8 == 0:
            self._bound = 1.2 * median(self._recent)

    def _leaps(self, loss: float) -> bool:
        if len(self._recent) < LEAST_STEPS:
            return False
        middle = median(self._recent)
        logs = [math.log(max(value, 1e-12)) for value in self._recent]
        center = median(logs)
        # Of the differences between neighbours, which a falling loss does not widen.
        deviation = 1.4826 * median(abs(b - a) for a, b in pairwise(logs)) / math.sqrt(2)
        excess = loss - middle
        return (
            math.log(max(loss, 1e-12)) - center > max(_DEVIATIONS * deviation, math.log(_FACTOR))
            and excess > _SHARE_OF_START * self._start
            and excess > 2 * (max(self._recent) - middle)
        )

    def _verdict(self, step: int, loss: float) -> Verdict:
        middle = median(self._recent)
        line = (
            f"the loss leapt to {loss:.3f}; the last {len(self._recent)} steps had {middle:.3f} in the "
            f"middle and {max(self._recent):.3f} at most"
        )
        if self._tell is not None:
            kind = "rewind" if self._rewinds else "say"
            self._tell({"step": step, "guard": self.name, "kind": kind, "line": line, "loss": loss, "median": middle})
        # A run that stays up there is told so once: what is now becomes the measure.
        self._recent.clear()
        self._leapt, self._bound = 0, math.inf
        return Rewind(line) if self._rewinds else Say(f"step {step:,}: {line}")

    def state(self) -> dict[str, Any]:
        """See :class:`hone.train.watching.Watcher`."""
        bound = None if math.isinf(self._bound) else self._bound
        return {"recent": list(self._recent), "start": self._start, "leapt": self._leapt, "bound": bound}

    def load(self, state: Mapping[str, Any]) -> None:
        """See :class:`hone.train.watching.Watcher`."""
        self._recent = deque(state["recent"], maxlen=WINDOW)
        self._start, self._leapt = state["start"], state["leapt"]
        self._bound = math.inf if state["bound"] is None else state["bound"]
