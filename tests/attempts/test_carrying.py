"""A run as it is carried out: what of it is written down."""

from __future__ import annotations

import shutil
from pathlib import Path

import hone
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
