"""Evaluations with their seconds taken: what judging will take is told before it, and counted in the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hone.attempts.boxed import Box
from hone.attempts.calibrate import FIXED_ROWS
from hone.attempts.judging import Judge
from hone.attempts.rationing import writes

if TYPE_CHECKING:
    from torch import nn

    from hone.task.scores import Score
    from hone.train.records import Judgement

QUIET_S = 2.0
"""What takes longer than this is told before it begins."""
OnEvent = Callable[[dict[str, Any]], None]


def stage(status: str, expected_s: float | None = None) -> dict[str, Any]:
    """The event that says what is going on beside the steps."""
    about = "" if expected_s is None or expected_s < 1 else f", about {expected_s:.0f} s"
    return {"kind": "stage", "status": f"{status}{about}"}


class TimedJudge:
    """The evaluation callback of a run; see :class:`hone.attempts.judging.Judge`.

    Args:
        judge: what it calls.
        on_event: takes a stage before what takes long.
        say: takes a line where an evaluation is left out.
        end: the step at which the run ends, as far as it is decided.
        box: rations the evaluations, where there is one.
    """

    def __init__(
        self,
        judge: Judge,
        on_event: OnEvent,
        say: Callable[[str], None],
        end: Callable[[], int],
        box: Box | None = None,
    ) -> None:
        self.judge, self._on_event, self._say, self._end = judge, on_event, say, end
        self.box = box
        self.took_s = 0.0
        """Seconds of the last evaluation of a model that has learned something, on all of dev where it led."""

    def __call__(self, model: nn.Module, step: int) -> Judgement | None:
        """Judge the model after so many steps; None where the box has no time for it."""
        if self.box is not None:
            why = self.box.leaves_out(step, self._end(), self.judge.bench.recipe.eval_every)
            if why is not None:
                if why:
                    self._say(why)
                return None
        rows = len(self.judge.rows_at(step))
        self._announce(f"judging on {rows:,} dev rows", self.expected_s(rows))
        begin = time.monotonic()
        found = self.judge(model, step)
        took_s = time.monotonic() - begin
        if found.candidate:
            self.took_s = took_s
        if self.box is not None:
            self.box.judged(took_s, trained=step > 0)
        return found if found.confirm is None else replace(found, confirm=self._timed(found.confirm))

    def _timed(self, confirm: Callable[[], Score]) -> Callable[[], Score]:
        def confirmed() -> Score:
            rows = len(self.judge.bench.data.dev)
            self._announce(f"scoring all {rows:,} dev rows, as it leads", self.expected_s(rows))
            begin = time.monotonic()
            found = confirm()
            took_s = time.monotonic() - begin
            self.took_s += took_s
            if self.box is not None:
                self.box.confirmed(took_s)
            return found

        return confirmed

    def _announce(self, what: str, expected_s: float | None) -> None:
        if expected_s is None or expected_s >= QUIET_S:
            self._on_event(stage(what, expected_s))

    def expected_s(self, rows: int, *, whole_loss: bool = False) -> float | None:
        """Seconds of an evaluation on so many rows, by the last one; None before there was one."""
        last, bench = self.judge.last, self.judge.bench
        if last is None:
            return None
        loss_s = last.loss_s * (len(bench.dev) / max(1, last.loss_rows) if whole_loss else 1.0)
        fixed = FIXED_ROWS if writes(bench) else 0
        return loss_s + last.metric_s * (fixed + rows) / (fixed + max(1, last.evaluation.n))

    def to_come_s(self, step: int, steps: int) -> float:
        """Seconds of the evaluations that are left, and of the last scoring, of a run that ends at ``steps``.

        Asked behind step ``step``, before its own evaluation, which is among them.
        """
        recipe, rows = self.judge.bench.recipe, len(self.judge.bench.data.dev)
        each = self.expected_s(len(self.judge.rows)) or 0.0
        evaluations = -(-steps // recipe.eval_every) - max(0, step - 1) // recipe.eval_every
        last_s = 0.0 if len(self.judge.rows) == rows else self.expected_s(rows, whole_loss=True) or 0.0
        return evaluations * each + last_s
