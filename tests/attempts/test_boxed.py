"""The plan of a box: the largest size that gets what it needs, evaluations within a tenth, a plan read again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hone.attempts import boxed
from hone.attempts.box_plan import early_line
from hone.attempts.box_sizes import Candidate, is_enough, of_size, sizes_for, why_this_size
from hone.attempts.boxed import Box, Plan
from hone.attempts.cadence import cadence, cadence_line
from hone.attempts.calibrate import Judging, Speed
from hone.data.task_file import load_task
from hone.model.presets import parameters, shape_of
from hone.task.recipe import Recipe

FIXTURES = Path(__file__).parents[1] / "data"
NOW = 1000.0


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a box stands still: a busy machine lets no time pass between two readings."""
    monkeypatch.setattr(boxed, "time", SimpleNamespace(monotonic=lambda: NOW))


def candidate(base: str, count: int, tokens: float, epochs: float) -> Candidate:
    speed = Speed(step_s=0.1, tokens_per_second=1e4, tokens_per_step=1e3)
    return Candidate(base=base, parameters=count, speed=speed, tokens=tokens, epochs=epochs)


def test_a_language_model_needs_twenty_tokens_per_parameter() -> None:
    """J. Hoffmann et al., arXiv:2203.15556: about 20; passes beyond the most count for nothing."""
    assert is_enough(candidate("a", 1_000_000, 20e6, 4.0), "language-model", 8.0)
    assert not is_enough(candidate("a", 1_000_000, 19e6, 4.0), "language-model", 8.0)
    assert not is_enough(candidate("a", 1_000_000, 30e6, 16.0), "language-model", 8.0), "half of them are repeats"


def test_other_tasks_need_half_of_the_epochs_that_gain_anything() -> None:
    assert is_enough(candidate("a", 1, 1.0, 7.0), "extract", 14.0)
    assert not is_enough(candidate("a", 1, 1.0, 6.9), "extract", 14.0)
    small, large = candidate("small", 1, 1.0, 9.0), candidate("large", 2, 1.0, 3.0)
    assert "the largest that gets 7 epochs" in why_this_size(small, [small, large], "extract", 14.0)
    assert "the smallest" in why_this_size(large, [large], "extract", 14.0)


@pytest.mark.parametrize("box_s", [120.0, 300.0, 600.0])
@pytest.mark.parametrize("row_s", [0.001, 0.005, 0.01])
def test_evaluations_and_scoring_take_a_tenth_of_the_box(box_s: float, row_s: float) -> None:
    judging = Judging(loss_s=0.2, row_s=row_s, rows=700)
    found = cadence(judging, box_s)
    each = judging.seconds(found.rows, loss_share=1.0 if found.whole_loss else found.rows / 700)
    first = judging.seconds(8, loss_share=1.0 if found.whole_loss else found.rows / 700) if found.first else 0.0
    spent = first + found.count * each + min(judging.seconds(700), 0.05 * box_s)
    assert spent <= 0.1 * box_s
    assert f"{spent / box_s:.1%} of the box" in cadence_line(found, judging, box_s, scratch=True)


def test_judging_that_is_too_slow_for_the_box_is_said() -> None:
    judging = Judging(loss_s=1.0, row_s=0.2, rows=700, fixed_s=15.0)
    found = cadence(judging, 120.0)
    assert (found.count, found.first) == (1, False)
    assert "over 10%" in cadence_line(found, judging, 120.0, scratch=True)


def test_a_size_must_fit_the_tasks_device() -> None:
    task = load_task(FIXTURES / "voice")  # 5 MB
    recipe = Recipe(vocab_size=1632)
    fitting = sizes_for(task, recipe)
    largest = parameters(shape_of(recipe.child(base=fitting[-1]), 1632))
    assert fitting[0] == "scratch:tiny"
    assert 34 / 32 * largest <= 5e6, "Q8_0 keeps 32 weights in 34 bytes"
    assert "scratch:15m" not in fitting


def test_initial_weights_shrink_with_the_root_of_the_width() -> None:
    """Four times the width, half the deviation: the sum over a row keeps its size."""
    wide = of_size(Recipe(base="scratch:1m", init_std=0.08), "scratch:15m")  # 128 -> 512
    assert wide.init_std == pytest.approx(0.04)
    assert of_size(Recipe(base="scratch:1m"), "scratch:15m", {"init_std"}).init_std == Recipe().init_std


def test_a_plan_is_read_as_it_was_written_and_knows_the_time_that_is_left(tmp_path: Path) -> None:
    plan = Plan(
        asked="x", seconds=120.0, recipe=Recipe(steps=7), lines=["a"], judging_s=1.0, scoring_s=2.0, after_s=1.5
    )
    plan.used_s = 50.0
    plan.save(tmp_path)
    again = Plan.read(tmp_path)
    assert again == plan
    assert again is not None
    assert Box(**again.times(1000.0)).ends == pytest.approx(1070.0)
    assert Plan.read(tmp_path / "elsewhere") is None


def test_the_last_scoring_takes_as_many_rows_as_there_is_time_for() -> None:
    box = Box(ends=NOW + 11.75, seconds=100.0, judging_s=2.0, scoring_s=5.0, after_s=1.0)
    # 10 s are left behind what is kept back (1 s, and 0.75 % of the box); 20 rows took 2 s.
    assert box.affords(700, 20) == pytest.approx(100, abs=1)
    assert box.affords(50, 20) == 50
    box.ends = 0.0
    assert box.affords(700, 20) == 8, "a few rows are scored, whatever the time"


def test_the_last_scoring_is_kept_back_as_slow_as_judging_has_become() -> None:
    box = Box(ends=0.0, seconds=100.0, judging_s=1.0, scoring_s=2.0, after_s=1.0)
    before = box.left_s()
    box.judging_s = 2.0  # an evaluation took twice as long as it was planned with
    assert before - box.left_s() == pytest.approx(1.0 + 2.0)
    box.judging_s = 100.0
    assert before - box.left_s() == pytest.approx(99.0 + 3.0), "5 % of the box are kept for scoring at most"


def test_a_few_rows_cost_nearly_as_much_as_many_where_answers_are_written() -> None:
    """10 s are left; 20 rows took 2 s, of which 1 s are there for any number of rows: 9 s are left for the others."""
    box = Box(ends=NOW + 11.75, seconds=100.0, judging_s=2.0, scoring_s=5.0, after_s=1.0, fixed_s=1.0)
    assert box.affords(700, 20) == pytest.approx(180, abs=1)


def test_evaluations_on_the_way_stay_within_their_share_of_the_box() -> None:
    """Sixty are due, each of 1 s: of a box of 100 s about ten go by until one would take the tenth that they have."""
    box = Box(ends=NOW + 100.0, seconds=100.0, judging_s=1.0, scoring_s=2.0, after_s=1.0)
    spent, lines = 0.0, []
    for step in range(10, 610, 10):
        why = box.leaves_out(step, 10_000, 10)
        if why is None:
            box.judged(1.0, trained=True)
            spent += 1.0
        lines.append(why)
    assert 5.0 <= spent + 1.0 + 2.0 <= 10.5, "with the one at the end and the last scoring"
    told = [line for line in lines if line]
    assert len(told) == 1, "the first one is told, the others follow from it"
    assert "1.0 s" in told[0]
    assert box.leaves_out(600, 600, 10) is None, "the last step is judged whatever was spent"


def test_an_evaluation_just_before_the_last_one_is_left_out() -> None:
    box = Box(ends=NOW + 100.0, seconds=100.0, judging_s=0.1, scoring_s=0.1, after_s=1.0)
    assert "step 110" in str(box.leaves_out(100, 110, 100))
    assert box.leaves_out(100, 190, 100) is None


def test_a_machine_that_became_slower_keeps_more_back_for_judging() -> None:
    box = Box(ends=0.0, seconds=100.0, judging_s=1.0, scoring_s=2.0, after_s=1.0, step_s=0.1)
    before = box.left_s()
    for _ in range(20):
        box.stepped(0.2)
    assert before - box.left_s() == pytest.approx(1.0 + 2.0)
    box.judged(2.0, trained=True)  # as slow as its steps said: nothing more is foreseen
    assert before - box.left_s() == pytest.approx(1.0 + 2.0)


@pytest.mark.parametrize("left_s", [110.0, 60.0, 30.0, 10.0])
def test_judging_shrinks_with_what_set_up_has_left_of_the_box(left_s: float) -> None:
    judging = Judging(loss_s=0.5, row_s=0.02, rows=700, fixed_s=0.4)
    found = cadence(judging, 120.0, left_s=left_s)
    spent = found.seconds(judging, 120.0, scratch=True)
    assert spent <= max(min(12.0, left_s / 4), judging.seconds(8, loss_share=8 / 700) + 6.0)


@pytest.mark.parametrize("box_s", [120.0, 600.0])
@pytest.mark.parametrize("parameters", [200_000, 30_000_000, 500_000_000])
def test_a_kill_costs_an_eighth_of_a_box_unless_writing_states_would_cost_a_twentieth(
    box_s: float, parameters: int
) -> None:
    """Weights and two moments of four bytes, at 100 MB a second; judged once, at the end, as many boxes are."""
    box = Box(ends=NOW + box_s, seconds=box_s, judging_s=1.0, scoring_s=1.0, after_s=1.0)
    recipe = Recipe(steps=1000, eval_every=2000)
    every = box.save_every(recipe, parameters)
    state_s = 12 * parameters / 100e6
    assert 125 <= every <= 1000
    assert every == 1000 or 1000 / every * state_s <= 0.05 * box_s
    assert every == 125 or (round(1000 / every) + 1) * state_s > 0.05 * box_s, "no fewer than there is time for"
    assert box.save_every(Recipe(steps=3), parameters) <= 3


def test_a_box_that_set_up_will_use_is_told_early_and_a_number_when_it_is_known() -> None:
    assert early_line(10.0, 120.0) == ""
    line = early_line(45.0, 120.0)
    assert "45 of 120 s" in line
    assert "--minutes" not in line, "what set-up takes is not measured yet"


def test_the_first_evaluation_tells_what_the_others_take_beside_what_it_was_planned_with() -> None:
    """It was to take 2 s and takes 1 s: an evaluation of 4 s will take 2 s, and the last scoring half, too."""
    box = Box(ends=0.0, seconds=100.0, judging_s=4.0, scoring_s=3.0, after_s=1.0, step_s=0.1, first_s=2.0)
    before = box.left_s()
    box.judged(1.0, trained=False)
    assert box.left_s() - before == pytest.approx(2.0 + 1.5)
    for _ in range(20):
        box.stepped(0.05)  # steps are as much faster as judging is: that is not to be counted twice
    assert box.left_s() - before == pytest.approx(2.0 + 1.5)
