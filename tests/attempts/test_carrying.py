"""A run as it is carried out: what of it is written down."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import hone
from hone.attempts.boxed import Box
from hone.attempts.carrying import carry_out
from hone.data.prepare import prepare
from hone.data.task_file import load_task
from hone.lab.lab import Lab
from hone.task.recipe import Recipe

FIXTURES = Path(__file__).parents[1] / "data"
TINY = Recipe(base="scratch:tiny", vocab_size=300, batch_size=8, eval_rows=12, steps=5, eval_every=5, warmup_steps=1)


def test_each_step_of_a_short_run_is_written_down_and_suffices_for_a_diagnosis(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FIXTURES / "banking", tmp_path / "banking"))
    report = hone.attempt(folder, TINY)
    rows = Lab(folder).run(1).metrics()
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5]
    assert report.diagnosis is not None
    assert "are needed" not in report.diagnosis["verdict"]["sentence"]


def test_a_box_that_is_judged_at_its_end_alone_saves_on_the_way(tmp_path: Path) -> None:
    """Each eighth of its steps; a kill behind the fifth of sixteen has the fourth to go on from."""
    folder = Path(shutil.copytree(FIXTURES / "banking", tmp_path / "banking"))
    task = load_task(folder)
    data = prepare(task, folder, tmp_path / "cache", lambda line: None)
    recipe = TINY.child(data=data.id, steps=16, eval_every=32, keep_states=9, schedule="warmup-stable-decay")
    run = Lab(folder).new_run(recipe, "task", data.id)
    box = Box(ends=time.monotonic() + 1e6, seconds=1e6, judging_s=1.0, scoring_s=1.0, after_s=1.0, first=False)
    carry_out(run, task, data, recipe, tmp_path / "cache", until_step=5, box=box)
    assert sorted(int(path.name[5:]) for path in run.folder.glob("checkpoints/step-*")) == [2, 4, 5]
