"""Watching one run being trained: a row of the table with the time left, and a stop that saves."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from hone.attempts import AttemptReport
from hone.solving.show import Show, TableRow
from hone.solving.single import Wish, carry
from hone.solving.watched import Watched
from hone.task.scores import Score


def carried(wish: Wish, show: Show, pressed: threading.Event) -> AttemptReport:
    """Carry a wish out in forks, its row shown; once ``pressed``, it is saved.

    Raises:
        KeyboardInterrupt: when it was stopped so, with the words that say how it goes on.
    """
    watch = _Watch(show, wish.name, wish.started)
    report = carry(wish, Watched(say=show.say, on_event=watch, should_stop=pressed.is_set), forked=True)
    watch.end(report)
    if pressed.is_set() and report.status != "finished":
        raise KeyboardInterrupt(paused_line(report))
    return report


class _Watch:
    """Steps and evaluations as a row of the table."""

    def __init__(self, show: Show, name: str, began: float) -> None:
        self._show, self._row = show, TableRow(name=name, what="one recipe", steps=1, status="starting")
        self._began = began

    def __call__(self, event: dict[str, Any]) -> None:
        row = replace(self._row, seconds=time.monotonic() - self._began)
        if event["kind"] == "stage":
            row = replace(row, status=event["status"], steps=event.get("steps", row.steps), left_s=None)
        elif event["kind"] == "step":
            row = replace(
                row,
                status="running",
                step=event["step"],
                steps=event["steps"],
                tokens_per_second=event["tokens_per_second"],
                left_s=event["left_s"],
            )
        elif event["kind"] == "evaluated":
            score = Score.from_json(event["score"])
            at = event["step"]
            row = replace(row, score=score, dev_loss=event["dev_loss"], scored_at=at, step=at, status="running")
        self._row = row
        self._show.row(row)

    def end(self, report: AttemptReport) -> None:
        """The row as it stays."""
        seconds, steps = time.monotonic() - self._began, max(report.step, self._row.steps)
        status = "paused" if report.status == "stopped" else report.status  # as the lab lists it
        row = replace(self._row, status=status, step=report.step, steps=steps, seconds=seconds, left_s=None)
        if report.status == "finished":
            row = replace(row, score=report.score, dev_loss=report.dev_loss, steps=report.step)
            row = replace(row, scored_at=report.kept_step)
        self._show.row(row)


def paused_line(report: AttemptReport) -> str:
    """Where a run that was stopped stands, and how it goes on."""
    why = f" ({report.reason})" if report.reason else ""
    box = report.box
    left = (
        f"; {max(0.0, box['seconds'] - box['used_s']):.0f} of {box['seconds']:.0f} s of its box are left" if box else ""
    )
    return f"run {report.run} is paused at step {report.step:,}{why}, saved: repeat the command to go on{left}"
