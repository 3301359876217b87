"""What judging will take is told before it, counted in the time left, and never paid twice for the same weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hone.attempts.judging import Written
from hone.attempts.timed_judging import TimedJudge
from hone.evaluate.generate import Generation


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
