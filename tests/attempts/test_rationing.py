"""Judging on the way takes a tenth of the training: what is left of dev then, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hone.attempts.boxed import Box
from hone.attempts.rationing import measured_line, ration_of
from hone.task.recipe import Recipe
from hone.task.render import Example


def bench(kind: str, *, rows: int = 1000, prompt: int = 30, answer: int = 10, **recipe: Any) -> Any:
    length = prompt + answer
    example = Example(
        ids=np.zeros(length, np.int32), supervised=np.arange(length) >= prompt, prompt_len=prompt, label=None, row="r"
    )
    return SimpleNamespace(
        task=SimpleNamespace(kind=kind),
        data=SimpleNamespace(dev=[None] * rows),
        dev=[example] * rows,
        renderer=None,
        recipe=Recipe(**recipe),
    )


@pytest.mark.parametrize("kind", ["classify", "extract"])
@pytest.mark.parametrize("tokens_per_step", [100.0, 1000.0, 10_000.0])
def test_evaluations_read_a_tenth_of_what_training_computes(kind: str, tokens_per_step: float) -> None:
    here = bench(kind, eval_every=200, eval_rows=100)
    found = ration_of(here, tokens_per_step)
    # A row is 40 tokens; where an answer is written, 30 and three times 10.
    row = 60 if kind == "extract" else 40
    spent = 100 * row + found.loss_rows * 40 + found.confirms * 1000 * row
    budget = 0.1 * 3 * 200 * tokens_per_step
    assert spent <= budget or (found.loss_rows == 100 and not found.confirms)
    assert found.confirms == (100 * row + 1000 * 40 + 1000 * row <= budget)
    assert (found.loss_rows == 1000) == (100 * row + 1000 * 40 <= budget)


def test_what_is_left_out_and_what_takes_too_long_is_said() -> None:
    (line,) = ration_of(bench("classify", eval_every=10, eval_rows=100), 100.0).lines
    # 8,000 tokens are read for 3 * 1,000 of training.
    assert "their loss on 100 of 1,000" in line
    assert "about 267% of the arithmetic of training (more than 10%: set a larger eval_every" in line
    assert "chosen on these 100 rows alone" in line


def test_where_dev_is_small_nothing_is_left_out_and_nothing_said() -> None:
    found = ration_of(bench("classify", rows=50, eval_every=200, eval_rows=256), 1000.0)
    assert (found.loss_rows, found.confirms, found.lines) == (50, False, ())


def test_a_box_scores_candidates_on_all_rows_where_its_plan_has_room() -> None:
    here = bench("classify", steps=400, eval_every=100, eval_rows=100)
    # Four evaluations and that of a base at the start, each of 0.5 s and 0.5 s more, and 0.5 s at the end.
    box = Box(ends=0.0, seconds=60.0, judging_s=0.5, scoring_s=0.5, after_s=1.0)
    assert ration_of(here, 1.0, box).confirms
    box.judging_s = 60.0
    assert ration_of(here, 1.0, box).confirms, "what was planned decides, not the clock of now"
    assert not ration_of(here, 1.0, Box(ends=0.0, seconds=50.0, judging_s=0.5, scoring_s=0.5, after_s=1.0)).confirms


def test_where_answers_are_written_arithmetic_is_not_told_as_time() -> None:
    for kind, told in (("extract", True), ("classify", False)):
        (line,) = ration_of(bench(kind, eval_every=10, eval_rows=100), 100.0).lines
        assert ("a larger share of the time, which is told once it is measured" in line) == told


@pytest.mark.parametrize(("evaluation_s", "share"), [(20.0, 0.5), (60.0, 0.75), (2.0, 0.0), (2.3, 0.103)])
def test_evaluations_that_take_over_a_tenth_of_the_time_are_told_as_measured(evaluation_s: float, share: float) -> None:
    """Between two of them are 100 steps of 0.2 s."""
    recipe = Recipe(steps=1000, eval_every=100)
    line = measured_line(recipe, evaluation_s, 0.2)
    assert bool(line) == bool(share)
    if line:
        assert (
            f"about {share:.0%} of the time: one took {evaluation_s:.1f} s, and 100 steps between two take 20.0" in line
        )
        wanted = int(line.partition("eval_every to ")[2].split()[0].replace(",", "").rstrip(","))
        assert evaluation_s <= 0.1001 * (evaluation_s + wanted * 0.2) or wanted == 1000


def test_of_a_run_of_some_seconds_nothing_is_told() -> None:
    assert measured_line(Recipe(steps=20, eval_every=5), 1.0, 0.1) == ""
    assert measured_line(Recipe(steps=200, eval_every=5), 1.0, 0.1)
