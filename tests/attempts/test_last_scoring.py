"""The scoring at the end: as much of dev as a box has time for, nothing twice, and never another model's score."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hone.attempts import boxed, last_scoring
from hone.attempts.boxed import AIM, Box, Plan
from hone.attempts.cadence import Cadence, cadence, last_scoring_s, planned_scoring_s
from hone.attempts.calibrate import Judging
from hone.attempts.judging import Judged, Written
from hone.attempts.timed_judging import TimedJudge
from hone.evaluate.scoring import Evaluation
from hone.task.recipe import Recipe
from hone.task.scores import Score

AFTER_S = 1.0


class Machine:
    """A clock that goes on by what judging takes, and by nothing else; what was read of dev."""

    def __init__(self, judging: Judging, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judging, self.now = judging, 0.0
        self.scored: list[int] = []
        self.losses: list[int] = []
        self._written: dict[int, int] = {}
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module in (boxed, last_scoring):
            monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(last_scoring, "score_model", self.score)
        monkeypatch.setattr(last_scoring, "dev_loss", self.loss)

    def score(
        self, bench: Any, model: Any, rows: Any, written: Written | None = None, calibrated: Any = None
    ) -> Evaluation:
        """Answers that were written, or read for a calibration, cost nothing again; others are computed each time."""
        del model
        if calibrated is not None:
            return evaluation(len(rows), mean=0.8)
        done = self._written.get(id(written), 0) if bench.task.kind == "extract" else 0
        self._written[id(written)] = len(rows)
        self.now += self.judging.fixed_s + self.judging.row_s * max(0, len(rows) - done)
        self.scored.append(len(rows))
        return evaluation(len(rows))

    def loss(self, model: Any, examples: Any) -> float:
        del model
        self.now += self.judging.loss_s * len(examples) / self.judging.rows
        self.losses.append(len(examples))
        return 2.0


def evaluation(rows: int, mean: float = 0.5) -> Evaluation:
    score = Score(name="accuracy", mean=mean, low=0.0, high=1.0, n=rows)
    return Evaluation(metric="accuracy", scores={"accuracy": score}, n=rows, seconds=0.0, answers=())


def an_end(kind: str, chosen: Cadence, judging: Judging, box_s: float | None) -> tuple[Any, TimedJudge]:
    """A bench, and what judged it a moment ago, where the steps of the box ended exactly as they were planned."""
    recipe = Recipe(eval_rows=min(chosen.rows, judging.rows))
    dev = [None] * judging.rows
    bench: Any = SimpleNamespace(
        recipe=recipe, task=SimpleNamespace(kind=kind), data=SimpleNamespace(dev=dev), dev=dev, renderer=None
    )
    share = chosen.loss_share(judging)
    last = Judged(
        step=400,
        evaluation=evaluation(recipe.eval_rows),
        loss=1.0,
        loss_rows=max(1, round(share * judging.rows)),
        loss_s=share * judging.loss_s,
        metric_s=judging.fixed_s + judging.row_s * recipe.eval_rows,
        written=Written(),
    )
    rows = dev[: recipe.eval_rows]
    ration = SimpleNamespace(loss_rows=last.loss_rows)
    judge: Any = SimpleNamespace(bench=bench, last=last, rows=rows, rows_at=lambda step: rows, ration=ration)
    box = None
    if box_s is not None:
        scoring_s = planned_scoring_s(recipe, judging, box_s)
        box = Box(
            ends=(1 - AIM) * box_s + scoring_s + AFTER_S,
            seconds=box_s,
            judging_s=chosen.judging_s(judging),
            scoring_s=scoring_s,
            after_s=AFTER_S,
            fixed_s=judging.fixed_s + share * judging.loss_s,
            loss_share=share,
        )
    return bench, TimedJudge(judge, lambda event: None, lambda line: None, lambda: 400, box)


def end(bench: Any, timed: TimedJudge, known: Judged | None, lines: list[str]) -> tuple[Evaluation, float]:
    model: Any = None
    return last_scoring.last_scoring(bench, model, timed, known, lines.append, lambda event: None)


DEAR_LOSS = Judging(loss_s=20.0, row_s=0.02, rows=700, fixed_s=0.5)
CASES = [
    (DEAR_LOSS, 300.0),
    (Judging(loss_s=8.0, row_s=0.01, rows=700, fixed_s=0.5), 120.0),
    (DEAR_LOSS, 60.0),
    (Judging(loss_s=1.0, row_s=0.004, rows=256, fixed_s=0.2), 120.0),
    (Judging(loss_s=0.2, row_s=0.1, rows=700, fixed_s=0.5), 120.0),
]


@pytest.mark.parametrize("kind", ["extract", "classify"])
@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize(("judging", "box_s"), CASES)
def test_whatever_judging_takes_the_box_ends_in_time_and_tells_what_was_not_read(
    monkeypatch: pytest.MonkeyPatch, kind: str, is_last: bool, judging: Judging, box_s: float
) -> None:
    machine = Machine(judging, monkeypatch)
    bench, timed = an_end(kind, cadence(judging, box_s), judging, box_s)
    known = timed.judge.last if is_last else None
    lines: list[str] = []
    found, loss = end(bench, timed, known, lines)
    assert timed.box is not None
    assert machine.now + AFTER_S <= timed.box.ends
    assert timed.judge.last is not None
    read = machine.losses[-1] if machine.losses else timed.judge.last.loss_rows
    assert loss == (2.0 if machine.losses else 1.0)
    assert len(machine.losses) == 1 or known is not None, "the loss is that of the kept weights"
    assert bool(lines) == (found.n < judging.rows or read < judging.rows)
    assert all(f"{found.n:,} of {judging.rows:,} dev rows" in line for line in lines)
    assert all((f"loss on {read:,} of" in line) == (read < judging.rows) for line in lines)


def test_rows_that_are_added_leave_the_loss_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine judges faster than a moment ago: few rows are thought to fit, and many more follow."""
    judging = Judging(loss_s=4.0, row_s=0.01, rows=700, fixed_s=0.1)
    machine = Machine(judging, monkeypatch)
    bench, timed = an_end("extract", Cadence(count=4, rows=64), judging, 10.0)
    timed.box = Box(ends=10.0, seconds=10.0, judging_s=15.0, scoring_s=5.0, after_s=AFTER_S, fixed_s=4.1)
    end(bench, timed, None, [])
    assert machine.losses == [700]
    assert machine.scored[-1] > 2 * machine.scored[0]
    assert machine.now + AFTER_S <= 10.0


def test_without_a_box_all_of_dev_is_read_whatever_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(DEAR_LOSS, monkeypatch)
    bench, timed = an_end("classify", cadence(DEAR_LOSS, 60.0), DEAR_LOSS, None)
    lines: list[str] = []
    found, _ = end(bench, timed, timed.judge.last, lines)
    assert (found.n, machine.losses, lines) == (700, [700], [])


def test_what_was_judged_whole_on_the_way_is_taken_though_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """On all rows as an evaluation, or where it led on some of them: nothing is read again and nothing left out."""
    judging = Judging(loss_s=0.4, row_s=0.008, rows=100, fixed_s=0.6)
    machine = Machine(judging, monkeypatch)
    lines: list[str] = []
    bench, timed = an_end("extract", Cadence(count=4, rows=256), judging, 120.0)
    assert timed.box is not None
    assert timed.judge.last is not None
    timed.box.ends = 0.0
    best = replace(timed.judge.last, step=100, evaluation=evaluation(100, mean=0.7), loss=0.9)
    found, loss = end(bench, timed, best, lines)
    assert (found.score.mean, found.n, loss) == (0.7, 100, 0.9)
    bench, timed = an_end("extract", Cadence(count=4, rows=32), judging, 120.0)
    timed.box = Box(ends=0.0, seconds=120.0, judging_s=1.0, scoring_s=1.0, after_s=AFTER_S)
    best = replace(best, evaluation=evaluation(32), on_all=evaluation(100, mean=0.6))
    found, _ = end(bench, timed, best, lines)
    assert (found.score.mean, found.n) == (0.6, 100)
    assert (machine.scored, lines) == ([], [])


@pytest.mark.parametrize("box_s", [None, 60.0])
def test_a_calibrated_classifier_is_scored_by_what_the_calibration_read_and_its_loss_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch, box_s: float | None
) -> None:
    """A temperature changes what it answers; the loss on dev is told without."""
    machine = Machine(DEAR_LOSS, monkeypatch)
    bench, timed = an_end("classify", Cadence(count=4, rows=256), DEAR_LOSS, box_s)
    calibrated: Any = object()
    lines: list[str] = []
    model: Any = None
    found, loss = last_scoring.last_scoring(
        bench, model, timed, timed.judge.last, lines.append, lambda event: None, calibrated
    )
    assert (found.score.mean, found.n, loss) == (0.8, 700, 1.0)
    assert (machine.scored, machine.losses, machine.now, lines) == ([], [], 0.0, [])
    last_scoring.last_scoring(bench, model, timed, None, lines.append, lambda event: None, calibrated)
    assert len(machine.losses) == 1, "of weights that nobody judged it is read"


def test_no_time_is_kept_for_the_last_scoring_only_where_an_evaluation_stands_for_it() -> None:
    judging = Judging(loss_s=0.4, row_s=0.008, rows=100, fixed_s=0.6)
    whole = last_scoring_s(judging, 120.0)
    assert whole == pytest.approx(1.8)
    assert planned_scoring_s(Recipe(eval_rows=100), judging, 120.0) == 0.0
    assert planned_scoring_s(Recipe(eval_rows=99), judging, 120.0) == whole
    calibrated = Recipe.model_construct(**{**dict(Recipe(eval_rows=100)), "objective": "classify-sequence"})
    assert planned_scoring_s(calibrated, judging, 120.0) == whole, "it is calibrated behind its last evaluation"


def test_a_call_that_goes_on_keeps_time_to_score_what_an_earlier_one_judged() -> None:
    plan = Plan(
        asked="x", seconds=120.0, recipe=Recipe(), lines=[], judging_s=1.5, scoring_s=0.0, after_s=1.0, used_s=0.0
    )
    assert Box(**plan.times(0.0)).scoring_s == 0.0
    plan.used_s = 30.0
    assert Box(**plan.times(0.0)).scoring_s == 1.5
    plan.scoring_s = 4.0
    assert math.isclose(Box(**plan.times(0.0)).scoring_s, 4.0)
