"""A box of minutes while a run is in it: the time that is left for steps, and what of judging it affords.

The box is the wall time of the command, imports included, over all calls that carry on the same run. What is planned
(:mod:`hone.attempts.box_plan`) is written into the run's folder, so that a call that goes on takes the same plan; when
the decay begins is decided on the way (:mod:`hone.train.horizon`), because somebody else may take the cores.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.attempts.cadence import EVALUATION_SHARE, LEAST_ROWS, SCORING_SHARE, confirms
from hone.files import read_json, write_json
from hone.lab import jsonl
from hone.task.recipe import Recipe

if TYPE_CHECKING:
    from hone.train.horizon import BentHorizon

AIM = 0.985
"""Share of the box that is planned with: a little early is better than a little late."""
LANDING_SHARE = 0.015
"""Of the box, how much later than that a rate may come to its end which has not fallen when the time is over."""
PLAN_FILE, HORIZON_FILE = "box.json", "horizon.jsonl"
PACE_STEPS = 12
"""Steps whose median is the machine's pace of now."""
PACE_BOUNDS = (0.7, 2.0)
"""The pace of a moment says no more than that about an evaluation."""
FIRST_BOUNDS = (0.3, 2.5)
"""Nor does the first evaluation about the others."""
STATES, STATES_SHARE = 8, 0.05
"""States that are written on the way of a box, and the share of it that writing them may take."""
STATE_BYTES_PER_PARAMETER = 12
"""Weights and two moments."""
WRITING_BYTES_PER_S = 100e6


@dataclass(kw_only=True)
class Box:
    """The time of a run in a box, as the process that trains sees it."""

    ends: float
    """When it ends, by :func:`time.monotonic`, which all processes of a machine share."""
    seconds: float
    judging_s: float
    """Seconds of an evaluation on the way; measured again by each of them."""
    scoring_s: float
    """Seconds of the last scoring, on all dev rows."""
    after_s: float
    """Seconds of whatever else comes behind the last step."""
    fixed_s: float = 0.0
    """Seconds of an evaluation as it was planned, however few rows it has."""
    step_s: float = 0.0
    """Seconds of a step as it was planned; 0 where it was not measured."""
    loss_share: float = 1.0
    """Share of dev whose loss an evaluation reads."""
    first: bool = True
    """Whether the model is judged before its first step."""
    first_s: float = 0.0
    """Seconds of that evaluation as it was planned; 0 where it was not."""
    most_steps: int = 0
    """Where the run ends though there is time for more; 0 leaves its end to the clock alone."""
    _planned_judging_s: float = field(init=False)
    _spent_s: float = field(init=False, default=0.0)
    """Seconds of all evaluations so far, of this call."""
    _confirming_s: float = field(init=False, default=0.0)
    """Seconds that the last evaluation took on all of dev, where it was a candidate to best."""
    _took_s: float = field(init=False, default=0.0)
    """Seconds that the last evaluation took; 0 where it was left out."""
    _left_out: bool = field(init=False, default=False)
    _steps: deque[float] = field(init=False)
    _pace_then: float = field(init=False)
    """Seconds of a step when ``judging_s`` was measured."""

    def __post_init__(self) -> None:
        """What was planned is kept beside what is measured."""
        self._planned_judging_s, self._pace_then = self.judging_s, self.step_s
        self._steps = deque(maxlen=PACE_STEPS)

    def stepped(self, seconds: float) -> None:
        """Take the time of a step: a machine that has become slower judges more slowly, too."""
        self._steps.append(seconds)
        if not self._pace_then and len(self._steps) >= PACE_STEPS // 2:
            self._pace_then = self._pace()

    def judged(self, seconds: float, *, trained: bool) -> None:
        """Take the time of an evaluation.

        That of an untrained model is another matter; but beside what it was planned with it tells of the others.
        """
        self._spent_s += seconds
        self._took_s, self._confirming_s = seconds, 0.0
        if trained:
            self.judging_s, self._pace_then = seconds, self._pace()
        elif self.first_s:
            least, most = FIRST_BOUNDS
            self.judging_s = self._planned_judging_s * min(most, max(least, seconds / self.first_s))
            self._pace_then = 0.0  # that of the steps which follow

    def confirmed(self, seconds: float) -> None:
        """Take the time of an evaluation on all of dev."""
        self._spent_s += seconds
        self._took_s += seconds
        self._confirming_s = seconds

    def left_s(self) -> float:
        """Seconds left for steps and the evaluations between them."""
        slower = self.judging_s / self._planned_judging_s if self._planned_judging_s else 1.0
        now = self._slower_now()
        late = (1 - AIM) * self.seconds
        scoring_s = min(self.scoring_s * slower * now, SCORING_SHARE * self.seconds)
        return self.ends - time.monotonic() - late - self.judging_s * now - scoring_s - self.after_s

    def to_end_s(self) -> float:
        """Seconds left of the box as it is planned, whatever they are for."""
        return max(0.0, self.ends - time.monotonic() - (1 - AIM) * self.seconds)

    def leaves_out(self, step: int, end: int, eval_every: int) -> str | None:
        """Why the evaluation of this step is left out, None where it is not; empty where that was said already."""
        if step == 0 and not self.first:
            self._took_s = 0.0
            return ""
        if step in (0, end):
            return None
        why = ""
        if end - step < eval_every / 3:
            why = f"the last one follows at step {end:,}"
        expected = self.judging_s * self._slower_now()
        if self._spent_s + 2 * expected + min(self.scoring_s, SCORING_SHARE * self.seconds) > self._most_s(expected):
            why = (
                f"judging has taken {self._spent_s:.1f} s, and one takes {expected:.1f} s; {EVALUATION_SHARE:.0%} of "
                f"the box of {self.seconds:.0f} s is for it"
            )
        if not why:
            return None
        self._took_s = self._confirming_s = 0.0
        said, self._left_out = self._left_out, True
        return "" if said else f"the evaluation of step {step:,} is left out: {why}"

    def _most_s(self, expected: float) -> float:
        """What judging may take; the measure of an evaluation differs a little each time."""
        return EVALUATION_SHARE * self.seconds + expected / 2

    def may_confirm(self, recipe: Recipe) -> bool:
        """Whether all of dev can be scored for each evaluation within the share that is planned for them.

        It follows from the plan, which is kept with the run, and not from the clock of now.
        """
        count = -(-recipe.steps // recipe.eval_every)
        return confirms(count, self._planned_judging_s, self.scoring_s, self.seconds)

    def save_every(self, recipe: Recipe, parameters: int) -> int:
        """Steps between states: what a kill may cost, however seldom the box is judged.

        It follows from the plan, and not from the clock, so that all processes of a run save at the same steps.
        """
        state_s = STATE_BYTES_PER_PARAMETER * parameters / WRITING_BYTES_PER_S
        states = min(STATES, max(1, int(STATES_SHARE * self.seconds / max(1e-9, state_s))))
        return max(1, -(-recipe.steps // states))

    def scoring_left_s(self) -> float:
        """Seconds that are left for the last scoring."""
        return self.ends - time.monotonic() - self.after_s - (1 - AIM) / 2 * self.seconds

    def affords(self, rows: int, judged_rows: int) -> int:
        """Of ``rows`` dev rows, how many there is time to score at the end, as fast as ``judged_rows`` were judged."""
        left = self.scoring_left_s()
        slower = self.judging_s / self._planned_judging_s if self._planned_judging_s else 1.0
        fixed_s = min(self.fixed_s * slower, self.judging_s)
        fitting = int((left - fixed_s) / max(1e-9, (self.judging_s - fixed_s) / max(1, judged_rows)))
        return min(rows, max(LEAST_ROWS, fitting))

    def to_json(self, folder: Path) -> dict[str, Any]:
        """How the box was used so far, and what the clock decided: from which step on the run was to end at which."""
        decided = [[row["step"], row["end"]] for row in jsonl.read(folder / HORIZON_FILE).rows]
        used_s = self.seconds - (self.ends - time.monotonic())
        return {"seconds": self.seconds, "used_s": round(used_s, 2), "decided": decided}

    def horizon(self, recipe: Recipe, folder: Path, *, first: bool) -> BentHorizon:
        """The schedule of a run that bends to this box."""
        from hone.train.horizon import BentHorizon, Clock

        clock = Clock(
            left_s=self.left_s,
            evaluation_s=lambda: self.judging_s + self._confirming_s,
            evaluated_s=lambda: self._took_s,
            step_s=self.step_s,
            landing_s=LANDING_SHARE * self.seconds,
        )
        return BentHorizon(recipe, folder / HORIZON_FILE, clock if first else None, self.most_steps or None)

    def _pace(self) -> float:
        return statistics.median(self._steps) if self._steps else self.step_s

    def _slower_now(self) -> float:
        """How much slower the machine is than when an evaluation was measured last, by its steps."""
        if not self._pace_then or len(self._steps) < PACE_STEPS // 2:
            return 1.0
        least, most = PACE_BOUNDS
        return min(most, max(least, self._pace() / self._pace_then))


@dataclass(kw_only=True)
class Plan:
    """What a box was planned to, as it lies in the run's folder."""

    asked: str
    """Hash of what was asked for: the recipe before the plan, and the minutes."""
    seconds: float
    recipe: Recipe
    lines: list[str]
    judging_s: float
    scoring_s: float
    after_s: float
    fixed_s: float = 0.0
    step_s: float = 0.0
    loss_share: float = 1.0
    first: bool = True
    first_s: float = 0.0
    most_steps: int = 0
    used_s: float = 0.0
    """Seconds of the box that earlier calls have used."""

    def save(self, folder: Path) -> None:
        """Write it into a run's folder."""
        write_json(folder / PLAN_FILE, {**asdict(self), "recipe": self.recipe.model_dump(mode="json")})

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """The plan of a run, None where it is not in a box."""
        path = folder / PLAN_FILE
        if not path.exists():
            return None
        values = read_json(path)
        return cls(**{**values, "recipe": Recipe.model_validate(values["recipe"])})

    def times(self, started: float) -> dict[str, Any]:
        """What makes the :class:`Box` of a call that began at ``started``.

        A call that goes on may keep weights that an earlier one judged: they are scored anew, and that has its time.
        """
        values = {key: getattr(self, key) for key in MEASURED}
        if self.used_s and not self.scoring_s:
            values["scoring_s"] = self.judging_s
        return {"ends": started + self.seconds - self.used_s, "seconds": self.seconds, **values}


MEASURED = ("judging_s", "scoring_s", "after_s", "fixed_s", "step_s", "loss_share", "first", "first_s", "most_steps")
"""What planning a box finds out about its times and its end."""
