"""Where a run ends and how its rate gets there: by the recipe's number of steps, or by the clock.

A run in a box of minutes cannot know its number of steps: somebody else may take the cores. So its schedule bends.
The rate stays at its peak until the time that is left says that the decay must begin; from there it falls in a line
to an end that is moved when steps turn out slower or faster, always from where the rate is. The stable part of
warmup-stable-decay does not depend on its end, so nothing that was trained is lost by deciding late (S. Hu et al.,
MiniCPM, arXiv:2404.06395).

The clock is asked in the first process alone, and each decision is on the disk before it takes effect. A run that is
resumed reads the decisions again and asks the clock only behind them, so that it repeats bit for bit (law 1).
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hone.lab import jsonl
from hone.task.recipe import Recipe
from hone.train.schedules import rate_factor

UNDECIDED = 2**31 - 1
"""The end of a run whose end is not decided yet."""
GAPS, FEWEST = 48, 5
"""Steps whose median duration is the speed of now: at most, and at least."""
RECENT = 0.1
"""They are those of the last moments, as long as this share of the time that is left: the nearer the end, the less time
there is to learn late that the machine has become slower."""
LEAST_GAPS, TRUSTED_GAPS = 6, 2
"""Steps before the clock is asked where nothing was measured beforehand; and those that say more than such a measure.
"""
CHECK_S = 0.4
"""Seconds between two looks at the clock."""
DRIFT = 0.03
"""Share of the steps left by which the end must be wrong before it is moved."""
LEAST_SHARE = 0.03
"""A schedule that does not fall decides its end when this share is left."""
LANDED = 0.1
"""A rate at or below this share of its peak has come to its end."""


class Horizon(Protocol):
    """The end of a run and the factor of its rates on the way there."""

    @property
    def end(self) -> int:
        """The step at which the run is finished, as far as it is decided."""
        ...

    @property
    def decided_at(self) -> int:
        """The step at which the end was first decided; -1 where it was not, or is the recipe's."""
        ...

    def factor(self, step: int) -> float:
        """Factor of the peak rates for the update of step ``step``, counted from 0."""
        ...

    def wish(self, step: int) -> int:
        """Asked in the first process before step ``step``: a new end to decide upon, or 0."""
        ...

    def settle(self, step: int, end: int) -> None:
        """Told in every process: from step ``step`` on the run is bent to end at ``end``."""
        ...


class FixedHorizon:
    """The end and the schedule that the recipe names."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    @property
    def end(self) -> int:
        """The recipe's steps."""
        return self._recipe.steps

    @property
    def decided_at(self) -> int:
        """Never."""
        return -1

    def factor(self, step: int) -> float:
        """The recipe's schedule."""
        return rate_factor(self._recipe, step)

    def wish(self, step: int) -> int:
        """Nothing is ever decided."""
        del step
        return 0

    def settle(self, step: int, end: int) -> None:
        """Never called: nothing is wished for."""
        raise AssertionError(f"a fixed horizon was to be moved to {end} at step {step}")


@dataclass(frozen=True, slots=True)
class Bend:
    """From ``step`` on the rate falls in a line from ``start`` to the recipe's least rate at ``end``."""

    step: int
    end: int
    start: float
    """Factor at ``step``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """What a bending schedule asks of the time.

    Attributes:
        left_s: seconds that are left for steps and the evaluations between them.
        evaluation_s: seconds that one evaluation takes.
        evaluated_s: seconds that the last one took, 0 where it was left out; ``evaluation_s`` by default.
        step_s: seconds of a step as they were measured beforehand; 0 where they were not.
        landing_s: how much later a run may end whose rate has not fallen when the time is over.
        now: a clock in seconds.
    """

    left_s: Callable[[], float]
    evaluation_s: Callable[[], float]
    evaluated_s: Callable[[], float] | None = None
    step_s: float = 0.0
    landing_s: float = 0.0
    now: Callable[[], float] = time.monotonic


class BentHorizon:
    """A schedule that bends to the clock; see the module.

    Args:
        recipe: its warmup, ``decay_share`` and ``least_rate`` are used; ``steps`` is a guess for people.
        path: file of the decisions, one JSON line each, read again on resume.
        clock: the time; None where it is never asked (in processes but the first).
        most_steps: where the run ends though there is time for more; None leaves the end to the clock alone.
    """

    def __init__(self, recipe: Recipe, path: Path, clock: Clock | None, most_steps: int | None = None) -> None:
        self._recipe, self._path, self._clock = recipe, path, clock
        self._most_steps = most_steps or UNDECIDED
        self._falls = recipe.schedule != "constant" and recipe.decay_share > 0
        self.bends: list[Bend] = []
        for row in jsonl.read(path).rows:
            self._bend(int(row["step"]), int(row["end"]))
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._steps, self._excess_s = 0, 0.0
        self._before: float | None = None
        self._checked = float("-inf")

    @property
    def end(self) -> int:
        """The last end that was decided; before that the most steps there may be, or :data:`UNDECIDED`."""
        return self.bends[-1].end if self.bends else self._most_steps

    @property
    def decided_at(self) -> int:
        """The step of the first bend, or -1."""
        return self.bends[0].step if self.bends else -1

    def factor(self, step: int) -> float:
        """Warmup, 1, then the line of the last bend at or before ``step``."""
        for bend in reversed(self.bends):
            if bend.step <= step:
                if not self._falls:
                    return bend.start
                least = min(bend.start, self._recipe.least_rate)  # of the peak, wherever the fall begins
                return least + (bend.start - least) * max(0.0, (bend.end - step) / (bend.end - bend.step))
        warmup = self._recipe.warmup_steps
        return min(1.0, (step + 1) / warmup) if warmup else 1.0

    def wish(self, step: int) -> int:
        """The end that the clock allows, where it is time to begin the decay or to move its end; else 0."""
        if self._clock is None:
            return 0
        now = self._clock.now()
        self._took(step, now)
        if self.bends and step < self.bends[-1].step:  # a resumed run repeats what was decided
            return 0
        if (left_s := self._clock.left_s()) <= 0:
            end = step + self._landing(step, left_s + self._clock.landing_s)
            return end if self.end > end else 0
        if not self.bends and self._most_steps - step <= self._share() * self._most_steps:
            return self._most_steps  # known beforehand; where time is shorter, the next look moves it
        if (not self._clock.step_s and len(self._gaps) < LEAST_GAPS) or now - self._checked < CHECK_S:
            return 0
        self._checked = now
        fitting = self.fitting(step)
        if not self.bends:
            return step + fitting if fitting <= self._share() * (step + fitting) else 0
        left = self.end - step
        moved = abs(fitting - left)
        return step + fitting if left > 1 and moved >= 1 and moved > DRIFT * left else 0

    def settle(self, step: int, end: int) -> None:
        """Write the decision down, in the process that has the clock, and follow it from ``step`` on."""
        end = max(end, step)
        if self._clock is not None:
            figures = {"step_s": round(self.step_s(), 6), "left_s": round(self._clock.left_s(), 3)}
            jsonl.append(self._path, {"step": step, "end": end, **figures}, sync=True)
        self._bend(step, end)

    def step_s(self) -> float:
        """Seconds of a step as it is now; of the first ones, as it was measured beforehand (0 where it was not).

        The median of the last ones, and their share of what single steps took beyond three times that: planning an
        epoch, a state that is written.
        """
        if self._clock is not None and self._clock.step_s and len(self._gaps) < TRUSTED_GAPS:
            return max(self._clock.step_s, self._usual() if self._gaps else 0.0)
        return self._usual() + self._excess_s / self._steps if self._gaps else 0.0

    def _share(self) -> float:
        """Share of the steps that are left when the end is decided."""
        return max(self._recipe.decay_share if self._falls else 0.0, LEAST_SHARE)

    def _landing(self, step: int, left_s: float) -> int:
        """Steps in which a rate comes to its end though the time is over: 1 where it has come there already."""
        if not self._falls or self.factor(step) <= LANDED or left_s <= 0:
            return 1
        return max(1, int(left_s / max(1e-6, self.step_s())) if self.step_s() else 1)

    def _usual(self) -> float:
        """The median of the last steps."""
        assert self._clock is not None, "only who has a clock measures"
        recent, within = RECENT * self._clock.left_s(), 0.0
        taken: list[float] = []
        for gap in reversed(self._gaps):
            within += gap
            if len(taken) >= FEWEST and within > recent:
                break
            taken.append(gap)
        return statistics.median(taken)

    def fitting(self, step: int) -> int:
        """Steps that fit into the time that is left and are wanted, at least 1, evaluations on the way counted."""
        if self._clock is None or not self.step_s():
            return 0
        left, step_s, each = self._clock.left_s(), max(1e-6, self.step_s()), self._clock.evaluation_s()
        every, steps = self._recipe.eval_every, max(1, int(left / max(1e-6, self.step_s())))
        for _ in range(3):  # fewer steps have fewer evaluations between them
            between = (step + steps - 1) // every - step // every
            steps = max(1, int((left - between * each) / step_s))
        return max(1, min(steps, self._most_steps - step))

    def _took(self, step: int, now: float) -> None:
        """Keep how long the last step took; an evaluation in it is counted by itself."""
        assert self._clock is not None, "only who has a clock asks"
        judged = step > 0 and step % self._recipe.eval_every == 0
        if self._before is not None and (not judged or self._recipe.eval_every <= LEAST_GAPS):
            took = self._clock.evaluated_s or self._clock.evaluation_s
            gap = max(0.0, now - self._before - (took() if judged else 0.0))
            usual = self._usual() if self._steps >= LEAST_GAPS else gap
            self._steps += 1
            self._excess_s += max(0.0, gap - 3 * usual)
            self._gaps.append(min(gap, 3 * usual))
        self._before = now

    def _bend(self, step: int, end: int) -> None:
        self.bends.append(Bend(step, max(end, step), self.factor(step)))
