"""The plan of a box is that of what will be carried out: of a group of processes, and of a run that may go back."""

from __future__ import annotations

import math
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hone.attempts import box_plan
from hone.attempts.box_plan import early_line, group_speed, plan_box, plan_group
from hone.attempts.calibrate import Judging, Speed
from hone.attempts.checking import problems_of
from hone.data.prepare import prepare
from hone.data.task_file import load_task
from hone.solving import single
from hone.solving.single import Wish
from hone.solving.watched import Watched
from hone.task.recipe import Recipe

BANKING = Path(__file__).parents[1] / "data" / "banking"
NOW, BOX_S = 1000.0, 600.0
ALONE = Speed(step_s=0.2, tokens_per_second=1000.0, tokens_per_step=200.0)
GROUP = Speed(step_s=0.1, tokens_per_second=2000.0, tokens_per_step=200.0)
CHEAP = Judging(loss_s=0.5, row_s=0.01, rows=400, fixed_s=0.2)
DEAR = Judging(loss_s=1.5, row_s=0.03, rows=400, fixed_s=0.6)


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes while a box is planned."""
    monkeypatch.setattr(box_plan, "time", SimpleNamespace(monotonic=lambda: NOW))
    monkeypatch.setattr(single, "time", SimpleNamespace(monotonic=lambda: NOW))


def order(recipe: Recipe) -> dict[str, Any]:
    return {"recipe": recipe, "kept": frozenset(), "box_s": BOX_S, "ends": NOW + BOX_S, "most_epochs": math.inf}


def planned(recipe: Recipe, speed: Speed, judging: Judging) -> dict[str, Any]:
    alone = {"steps_per_epoch": 100, "after_s": 2.0, "size_lines": ["a size"], "device": "cpu"}
    return plan_group(order(recipe), alone, recipe, {"speed": asdict(speed), "judging": asdict(judging)})


def test_a_group_of_processes_is_planned_with_its_own_speed_and_judging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one judges, with the threads that it has in the group; what is said is what will be carried out."""
    alone = planned(Recipe(schedule="warmup-stable-decay"), ALONE, CHEAP)
    measured = {"speed": asdict(GROUP), "judging": asdict(DEAR)}
    monkeypatch.setattr(single, "usable_cores", lambda: 2)
    monkeypatch.setattr(single, "MOST_EPOCHS", {"classify": math.inf})  # the clock alone ends it
    folder = Path(shutil.copytree(BANKING, tmp_path / "banking"))
    said: list[str] = []
    wish = Wish(folder=folder, recipe=Recipe(schedule="warmup-stable-decay"), minutes=BOX_S / 60, started=NOW)
    here = single._Single(wish, Watched(say=said.append), forked=True)
    monkeypatch.setattr(here, "_work", lambda name, work, *rest: alone if work is plan_box else measured)
    plan = here.planned("", BOX_S)
    recipe = plan.recipe
    assert (recipe.processes, recipe.threads) == (2, 1)
    whole = planned(recipe, GROUP, DEAR)
    assert recipe == Recipe.model_validate(whole["recipe"])
    assert (plan.judging_s, plan.fixed_s, plan.step_s) == (whole["judging_s"], whole["fixed_s"], 0.1)
    assert plan.judging_s > alone["judging_s"] or recipe.eval_rows < alone["recipe"]["eval_rows"]
    (steps,) = (line for line in said if line.startswith("steps:"))
    assert f"about {recipe.steps:,} of 100 ms" in steps
    (schedule,) = (line for line in said if line.startswith("schedule: warmup"))
    assert re.search(rf"\b{recipe.warmup_steps} step", schedule)
    (evaluations,) = (line for line in said if line.startswith("evaluations:"))
    assert f"on {recipe.eval_rows} dev rows" in evaluations
    assert f"about {plan.judging_s:.1f} s each" in evaluations
    assert said.count("a size") == 1


def test_a_group_measures_training_and_judging(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BANKING, tmp_path / "banking"))
    task = load_task(folder)
    data = prepare(task, folder, tmp_path / "cache", lambda line: None)
    recipe = Recipe(base="scratch:tiny", vocab_size=300, batch_size=8, data=data.id)
    asked = {"folder": str(folder), "task": task, "data": data, "recipe": recipe, "seconds": 0.0, "most_s": 0.0}
    channel: Any = SimpleNamespace(send=lambda event: None)
    found = group_speed(channel, asked)
    assert Speed(**found["speed"]).step_s > 0
    assert Judging(**found["judging"]).rows == len(data.dev)


@pytest.mark.parametrize("step_s", [0.1, 100.0, 1e6])
@pytest.mark.parametrize("dear", [1.0, 1e3])
def test_a_box_is_planned_so_that_a_rewind_has_an_evaluation_to_go_back_to(step_s: float, dear: float) -> None:
    """However dear judging is, and if there is time for one step alone: who asked for rewinds set no ``eval_every``."""
    recipe = Recipe(schedule="warmup-stable-decay", on_spike="rewind")
    speed = Speed(step_s=step_s, tokens_per_second=1.0, tokens_per_step=step_s)
    judging = Judging(loss_s=dear, row_s=0.1 * dear, rows=400, fixed_s=dear)
    found = Recipe.model_validate(planned(recipe, speed, judging)["recipe"])
    assert found.eval_every < found.steps
    assert not problems_of(found, load_task(BANKING))


@pytest.mark.parametrize("steps_per_epoch", [1, 2, 100])
def test_a_box_ends_behind_the_epochs_that_gain_anything_and_says_so(steps_per_epoch: int) -> None:
    """As hone solve does; forty steps at least, and the whole schedule in them."""
    recipe = Recipe(schedule="warmup-stable-decay")
    alone = {"steps_per_epoch": steps_per_epoch, "after_s": 2.0, "size_lines": [], "device": "cpu"}
    asked = {**order(recipe), "most_epochs": 12.0}
    measured = {"speed": asdict(ALONE), "judging": asdict(CHEAP)}
    found = plan_group(asked, alone, recipe, measured)
    most = max(40, 12 * steps_per_epoch)
    planned = Recipe.model_validate(found["recipe"])
    assert (found["most_steps"], planned.steps) == (most, most)
    assert planned.eval_every < most
    assert planned.warmup_steps < 0.1 * most
    assert sum("the default gains nothing" in line for line in found["lines"]) == 1
    assert "the box ends early" in found["lines"][0]
    for kept, bounded in (({"base", "seed"}, True), ({"learning_rate"}, False)):
        again = plan_group({**asked, "kept": frozenset(kept)}, alone, recipe, measured)
        assert bool(again["most_steps"]) == bounded, "the note is on the default recipe"
        assert sum("the default gains nothing" in line for line in again["lines"]) == 1
    large = plan_group(asked, {**alone, "steps_per_epoch": 10_000}, recipe, measured)
    assert large["most_steps"] == 0
    assert not any("beyond" in line for line in large["lines"])


def test_the_minutes_that_a_box_names_hold_the_steps_that_they_are_named_for() -> None:
    slow = Speed(step_s=30.0, tokens_per_second=10.0, tokens_per_step=300.0)
    lines = planned(Recipe(schedule="warmup-stable-decay"), slow, CHEAP)["lines"]
    (minutes,) = [float(found[1]) for line in lines if (found := re.search(r"--minutes ([\d.]+)", line))]
    larger = {**order(Recipe(schedule="warmup-stable-decay")), "box_s": 60 * minutes, "ends": NOW + 60 * minutes}
    alone = {"steps_per_epoch": 100, "after_s": 2.0, "size_lines": [], "device": "cpu"}
    again = plan_group(larger, alone, larger["recipe"], {"speed": asdict(slow), "judging": asdict(CHEAP)})
    assert again["recipe"]["steps"] >= 40
    assert not any("--minutes" in line for line in again["lines"])


@pytest.mark.parametrize("used_s", [5.0, 21.0, 34.0, 400.0])
def test_the_minutes_that_are_named_where_set_up_took_the_box_leave_time_to_measure(
    monkeypatch: pytest.MonkeyPatch, used_s: float
) -> None:
    monkeypatch.setattr(box_plan, "bench_of", lambda channel, order: None)
    monkeypatch.setattr(box_plan, "source_of", lambda bench: SimpleNamespace(num_steps=lambda epoch: 100))
    channel: Any = None
    recipe = Recipe(schedule="warmup-stable-decay")
    late = {"box_s": 3.0, "ends": NOW + 3.0 - used_s, "sizes": (), "data": SimpleNamespace(dev=[None] * 400)}
    (line,) = plan_box(channel, {**order(recipe), **late})["lines"]
    named = re.findall(r"--minutes ([\d.]+)", line + early_line(used_s, 3.0))
    assert len(named) == 1, "one number"
    box_s = 60 * float(named[0])
    assert box_s - used_s >= box_plan.MEASURED_FROM * box_s


def test_a_box_without_time_to_measure_leaves_a_rewind_an_evaluation_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = SimpleNamespace(num_steps=lambda epoch: 100)
    monkeypatch.setattr(box_plan, "bench_of", lambda channel, order: None)
    monkeypatch.setattr(box_plan, "source_of", lambda bench: sources)
    recipe = Recipe(schedule="warmup-stable-decay", on_spike="rewind")
    late = {"ends": NOW + 0.1 * BOX_S, "sizes": (), "data": SimpleNamespace(dev=[None] * 400)}
    channel: Any = None
    found = plan_box(channel, {**order(recipe), **late})
    assert not problems_of(Recipe.model_validate(found["recipe"]), load_task(BANKING))
    assert "judged at most twice" in found["lines"][0]
