"""Which weights are kept: the best trained ones; a lucky start from scratch is none, an untouched base may be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.attempts import judging, last_scoring, rationing
from hone.attempts.carrying import carry_out
from hone.data.prepare import prepare
from hone.data.task_file import load_task
from hone.evaluate.scoring import Evaluation
from hone.lab.lab import Lab
from hone.task.recipe import Recipe
from hone.task.scores import Score

FIXTURES = Path(__file__).parents[1] / "data"
COMMON: dict[str, Any] = {"batch_size": 8, "eval_rows": 12, "steps": 6, "eval_every": 2, "warmup_steps": 1}
TINY = Recipe(base="scratch:tiny", vocab_size=300, **COMMON)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / "banking", tmp_path / "banking"))


def scripted(monkeypatch: pytest.MonkeyPatch, subset: list[float], all_rows: list[float]) -> list[int]:
    """Scores of the subset and of all rows, in the order in which they are asked for; the rows of each call."""
    asked: list[int] = []

    def score_model(bench: Any, model: Any, rows: Any, written: Any = None) -> Evaluation:
        del model, written
        asked.append(len(rows))
        values = all_rows if len(rows) == len(bench.data.dev) else subset
        score = Score(name=bench.task.metric, mean=values.pop(0), low=0.0, high=1.0, n=len(rows))
        return Evaluation(metric=score.name, scores={score.name: score}, n=len(rows), seconds=0.0, answers=())

    monkeypatch.setattr(judging, "score_model", score_model)
    monkeypatch.setattr(last_scoring, "score_model", score_model)
    return asked


def kept(folder: Path) -> list[str]:
    return [path.name for path in sorted((folder / "runs").glob("*/checkpoints/best-*"))]


def test_a_lucky_start_from_scratch_is_not_the_best(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scripted(monkeypatch, [0.9, 0.2, 0.1, 0.1], [0.2])
    report = hone.attempt(folder, TINY)
    assert asked[0] == 8
    assert kept(folder) == ["best-00000002"]
    assert report.step == 6


def test_a_lucky_start_does_not_end_a_run_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.9, 0.1, 0.2, 0.3], [0.3])
    assert hone.attempt(folder, TINY.child(early_stop=1)).step == 6
    assert kept(folder) == ["best-00000006"]


def test_a_base_that_training_made_worse_is_kept_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        scripted(patch, [0.1] * 4, [0.1])
        base = hone.attempt(folder, TINY).model
    scripted(monkeypatch, [0.5, 0.4, 0.3, 0.2], [0.5])
    lines: list[str] = []
    report = hone.attempt(folder, Recipe(base=str(base), **COMMON), say=lines.append)
    assert any("training made it worse: the base" in line and "0.2" in line for line in lines), lines
    assert report.distance is not None
    assert report.distance["relative"] == 0
    assert kept(folder)[-1] == "best-00000000"


def test_what_leads_on_some_rows_is_scored_on_all_and_that_decides(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rationing, "SHARE", 1e9)
    asked = scripted(monkeypatch, [0.9, 0.2, 0.3, 0.1], [0.25, 0.15])
    lines: list[str] = []
    report = hone.attempt(folder, TINY, say=lines.append)
    rows = max(asked)
    assert rows > 12
    assert asked == [8, 12, rows, 12, rows, 12], "and what was scored on all of them is not scored again at the end"
    assert report.score is not None
    assert report.score.mean == 0.25
    assert kept(folder) == ["best-00000002"]
    assert any(f"step 2, the best of 3 evaluations by accuracy on all {rows} rows (0.25" in line for line in lines)
    assert len(report.chosen_on_dev) == 1


def test_the_score_of_an_earlier_evaluation_on_all_of_dev_is_that_of_the_kept_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scripted(monkeypatch, [0.1], [0.9, 0.2, 0.3])
    report = hone.attempt(folder, TINY.child(eval_rows=10_000))
    rows = max(asked)
    assert asked == [8, rows, rows, rows], "and none of them again at the end"
    assert kept(folder) == ["best-00000002"]
    assert report.score is not None
    assert report.score.mean == 0.9
    assert report.dev_loss is not None
    losses = {row["step"]: row["dev_loss"] for row in Lab(folder).run(1).metrics() if "dev_loss" in row}
    assert report.dev_loss == losses[2]


def test_weights_that_nobody_judged_get_no_score_of_those_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is up before the first evaluation of a base's training: its last weights are kept, and scored."""
    with monkeypatch.context() as patch:
        scripted(patch, [0.1] * 4, [0.1])
        base = hone.attempt(folder, TINY).model
    asked = scripted(monkeypatch, [], [0.9, 0.4])
    task = load_task(folder)
    data = prepare(task, folder, folder / ".hone" / "cache", lambda line: None)
    recipe = Recipe(base=str(base), **COMMON).child(data=data.id, eval_rows=10_000, eval_every=6)
    run = Lab(folder).new_run(recipe, task.name, data.id)
    steps: list[int] = []

    def note(event: dict[str, Any]) -> None:
        if event["kind"] == "step":
            steps.append(event["step"])

    report = carry_out(
        run,
        task,
        data,
        recipe,
        folder / ".hone" / "cache",
        on_event=note,
        should_stop=lambda: bool(steps),
        time_is_up=lambda: True,
    )
    assert (report.status, len(asked)) == ("stopped", 2)
    assert report.score is not None
    assert report.score.mean == 0.4, "0.9 was that of the base"
    assert report.distance is not None
    assert report.distance["relative"] > 0
