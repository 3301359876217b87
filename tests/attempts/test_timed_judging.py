"""What judging will take is told before it, counted in the time left, and never paid twice for the same weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hone.attempts import timed_judging
from hone.attempts.carrying import _Reporter
from hone.attempts.judging import Written
from hone.attempts.timed_judging import TimedJudge
from hone.evaluate.generate import Generation
from hone.task.recipe import Recipe
from hone.task.scores import Score
from hone.train.records import Judgement, StepRecord

SCORE = Score(name="accuracy", mean=0.5, low=0.4, high=0.6, n=20)
STEP: dict[str, Any] = {
    "epoch": 0, "loss": 1.0, "learning_rate": 1.0, "grad_norm": 1.0, "supervised_tokens": 1, "tokens": 1,
    "seconds": 0.25, "tokens_per_second": 4.0,
}  # fmt: skip


def timed(*, steps: int, eval_every: int, rows: int, judged: int, loss_rows: int) -> TimedJudge:
    """After an evaluation of 1 s for the loss on ``loss_rows`` and 2 s for the metric on ``judged`` rows."""
    bench = SimpleNamespace(
        recipe=SimpleNamespace(steps=steps, eval_every=eval_every),
        task=SimpleNamespace(kind="classify"),
        data=SimpleNamespace(dev=[None] * rows),
        dev=[None] * rows,
        renderer=None,
    )
    last = SimpleNamespace(evaluation=SimpleNamespace(n=judged), loss_rows=loss_rows, loss_s=1.0, metric_s=2.0)
    judge: Any = SimpleNamespace(bench=bench, last=last, rows=[None] * judged)
    return TimedJudge(judge, lambda event: None, lambda line: None, lambda: steps)


@pytest.mark.parametrize(("step", "left"), [(0, 4), (3, 4), (4, 3), (9, 2), (11, 1), (12, 1)])
def test_the_time_left_counts_the_evaluations_and_the_last_scoring_to_come(step: int, left: int) -> None:
    """It is asked behind a step, before its evaluation: that of the last step is still to come then."""
    here = timed(steps=12, eval_every=3, rows=100, judged=20, loss_rows=50)
    # 3 s each; all 100 rows at the end: twice the loss, five times the metric.
    assert here.to_come_s(step, 12) == pytest.approx(3.0 * left + 2.0 + 10.0)


def test_what_evaluations_take_is_told_once_behind_the_first_of_a_trained_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 4 s, 3 of them on all of dev because it led; that of the untrained model, 8 s, is another matter."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(timed_judging, "time", SimpleNamespace(monotonic=lambda: clock.now))

    class Judge:
        bench = timed(steps=100, eval_every=20, rows=100, judged=20, loss_rows=50).judge.bench
        last: Any = None
        rows = (None,) * 20

        def rows_at(self, step: int) -> list[None]:
            return [None] * 20

        def __call__(self, model: Any, step: int) -> Judgement:
            clock.now += 1.0 if step else 8.0
            return Judgement(score=SCORE, candidate=step > 0, confirm=self.confirm)

        def confirm(self) -> Score:
            clock.now += 3.0
            return SCORE

    judge: Any = Judge()
    here = TimedJudge(judge, lambda event: None, lambda line: None, lambda: 100)
    lines: list[str] = []
    listeners: Any = SimpleNamespace(say=lines.append, say_before=lambda line: None, on_event=lambda event: None)
    run: Any = SimpleNamespace(log=lambda step, **values: None)
    told = _Reporter(run, Recipe(steps=100, eval_every=20), None, None, here, listeners)
    model: Any = None
    for step in range(101):
        if step:
            told(StepRecord(**{**STEP, "step": step}))
        if step % 20 == 0:
            assert bool(lines) == (step > 20), step
            found = here(model, step)
            assert found is not None
            assert found.confirm is not None
            if step:
                found.confirm()
    (line,) = lines
    assert "about 44% of the time: one took 4.0 s, and 20 steps between two take 5.0 s; set eval_every to " in line


def test_an_end_between_two_evaluations_is_judged_too() -> None:
    here = timed(steps=13, eval_every=3, rows=20, judged=20, loss_rows=20)
    assert here.to_come_s(13, 13) == pytest.approx(3.0)
    assert here.to_come_s(0, 13) == pytest.approx(5 * 3.0), "and what was judged on all rows is not scored again"


def test_what_was_written_is_not_asked_for_again_when_rows_are_added() -> None:
    asked: list[tuple[int, ...]] = []

    def generate(prompts: Any, **how: Any) -> list[Generation]:
        assert how == {"max_new_tokens": 5, "end_id": 3}
        asked.extend(tuple(prompt) for prompt in prompts)
        return [Generation((sum(prompt),), True) for prompt in prompts]

    written = Written()
    first = written.by(generate)([[1], [2, 3], [1]], max_new_tokens=5, end_id=3)
    more = written.by(generate)([[1], [2, 3], [1], [4]], max_new_tokens=5, end_id=3)
    assert [item.ids for item in more] == [(1,), (5,), (1,), (4,)]
    assert more[:3] == first
    assert asked == [(1,), (2, 3), (4,)]
