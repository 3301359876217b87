"""The scoring at the end: the kept weights on as much of dev as there is time for, and nothing of it twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hone.attempts.bench import Bench, Say
from hone.attempts.judging import Judged, Written, dev_loss, score_model
from hone.attempts.rationing import writes
from hone.attempts.timed_judging import OnEvent, TimedJudge, stage
from hone.wording import counted

if TYPE_CHECKING:
    from torch import nn

    from hone.attempts.encoding import Calibrated
    from hone.evaluate.scoring import Evaluation

WORTH_IT, CAREFUL = 0.4, 0.8
"""More rows are scored where at least so much of the time of those before is left; and how much of it they may take."""


def last_scoring(
    bench: Bench,
    model: nn.Module,
    timed: TimedJudge,
    known: Judged | None,
    say: Say,
    on_event: OnEvent,
    calibrated: Calibrated | None = None,
) -> tuple[Evaluation, float]:
    """The kept weights scored on all of dev and their loss there; in a box on as many rows as there is time for.

    What was measured of them on the way, ``known``, is not computed again. A calibrated classifier's answers are made
    of what the calibration has read; its loss is told without a temperature, and so stays as it was measured.
    """
    rows, box = bench.data.dev, timed.box
    on_the_way = 0 if known is None else len(timed.judge.rows_at(known.step))
    if calibrated is not None:
        evaluation, count = score_model(bench, model, rows, calibrated=calibrated), len(rows)
    elif known is not None and known.on_all is not None:
        evaluation, count = known.on_all, len(rows)
    else:
        count = len(rows) if box is None else box.affords(len(rows), min(len(rows), bench.recipe.eval_rows))
        if known is not None and count <= on_the_way:
            evaluation, count = known.evaluation, on_the_way
        else:
            whole_loss = known is None and box is None
            on_event(stage(f"scoring on {count:,} dev rows", timed.expected_s(count, whole_loss=whole_loss)))
            evaluation, count = _scored(bench, model, timed, known, count, count - on_the_way)
    loss, loss_rows = _last_loss(bench, model, timed, known)
    if count < len(rows) or loss_rows < len(bench.dev):
        of_loss = "" if loss_rows == len(bench.dev) else f", their loss on {loss_rows:,} of {len(bench.dev):,}"
        say(f"scored on {count:,} of {counted(len(rows), 'dev row')}{of_loss}: the box has no time for more")
    return evaluation, loss


def _last_loss(bench: Bench, model: nn.Module, timed: TimedJudge, known: Judged | None) -> tuple[float, int]:
    """The loss on all of dev, in a box on what an evaluation reads where all would take too long; on how much it is."""
    whole, some = len(bench.dev), len(bench.dev)
    if timed.box is not None:
        last, some = timed.judge.last, min(whole, timed.judge.ration.loss_rows)
        if last is not None and last.loss_s * whole / max(1, last.loss_rows) <= timed.box.scoring_left_s():
            some = whole
    if known is not None and known.loss_rows >= some:
        return known.loss, known.loss_rows
    return dev_loss(model, bench.dev[:some]), some


def _scored(
    bench: Bench, model: nn.Module, timed: TimedJudge, known: Judged | None, count: int, new: int
) -> tuple[Evaluation, int]:
    """So many dev rows scored, and in a box more of them as long as there is time; with how many there were.

    ``new`` of them are not in ``known``. Only answers that were written are not computed again with more rows.
    """
    rows, box = bench.data.dev, timed.box
    written = Written() if known is None else known.written
    # The loss comes behind it. Before an evaluation was timed, the plan's figure holds at least that.
    last = timed.judge.last
    loss_s = 0.0 if known is not None or box is None else box.fixed_s if last is None else last.loss_s
    while True:
        begin = time.monotonic()
        evaluation = score_model(bench, model, rows[:count], written)
        took = time.monotonic() - begin
        if box is None or count == len(rows) or not writes(bench):
            return evaluation, count
        left = box.scoring_left_s() - loss_s
        if left < WORTH_IT * took:
            return evaluation, count
        new = max(1, int(new * min(3.0, CAREFUL * left / max(1e-9, took))))
        new = min(new, len(rows) - count)
        count += new
