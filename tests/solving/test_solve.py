"""``solve`` from end to end on small real cuts: interrupted, resumed, repeated; the test split read once (law 9).

The targets are low on purpose: what is tested is the way, not how good a model of a minute is.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from pathlib import Path

import pytest

import hone
from hone.errors import BusyError
from hone.files import locked
from hone.lab.lab import Lab
from hone.solving.loop import solve
from hone.solving.show import Silent, TableRow
from hone.task.recipe import Recipe

FIXTURES = Path(__file__).parents[1] / "data"
MINUTES = 10.0
"""Never reached: the target stops the solve."""


def task_folder(tmp_path: Path, name: str, target: float, base: str = "scratch:500k") -> Path:
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    file = folder / "hone.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith(("target:", "base:"))]
    file.write_text("\n".join([*lines, f"target: {target}", f"base: {base}", ""]))
    return folder


class Presser(Silent):
    """Presses ctrl-C once an attempt has made some steps."""

    def __init__(self, pressed: threading.Event) -> None:
        super().__init__()
        self.pressed = pressed
        self.at = 0

    def row(self, row: TableRow) -> None:
        super().row(row)
        if row.steps and row.status == "running" and row.step >= 3 and not self.pressed.is_set():
            self.at = row.step
            self.pressed.set()


@pytest.mark.slow
def test_interrupted_resumed_and_repeated(tmp_path: Path) -> None:
    folder = task_folder(tmp_path, "voice", 0.02)
    pressed = threading.Event()
    watcher = Presser(pressed)
    with pytest.raises(KeyboardInterrupt):
        solve(folder, minutes=MINUTES, show=watcher, pressed=pressed)
    assert watcher.at >= 3
    assert Lab(folder).test_readings() == []

    second = Silent()
    result = solve(folder, minutes=MINUTES, show=second)
    assert any("going on from step" in line for line in second.lines), "the attempt was resumed, not begun anew"
    assert result["attempts"] == 1
    assert result["solved"] is True
    assert result["parity"]["status"] == "certified"
    assert (folder / result["artifact"] / "model.gguf").is_file()
    assert json.loads((folder / "result.json").read_text()) == result
    assert result["low"] <= result["score"] <= result["high"]
    # The sealed rows were read once, for the verdict on the artifact that was certified.
    (reading,) = Lab(folder).test_readings()
    assert reading.reason == "verdict"
    assert reading.artifact == Path(result["artifact"]).name
    assert "by this artifact itself on the sealed test" in (folder / result["artifact"] / "README.md").read_text()

    before = sorted(str(path) for path in folder.rglob("*"))
    assert solve(folder, minutes=MINUTES, show=Silent()) == result
    assert len(Lab(folder).test_readings()) == 1
    assert sorted(str(path) for path in folder.rglob("*")) == before, "nothing was computed again"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), [("banking", 0.05), ("shakespeare", 7.0)])
def test_the_other_kinds_of_task(tmp_path: Path, name: str, target: float) -> None:
    folder = task_folder(tmp_path, name, target)
    show = Silent()
    result = solve(folder, minutes=MINUTES, show=show)
    assert result["solved"] is True
    assert result["test_n"] > 0
    assert set(result["baselines"]) <= set(show.rows)
    assert result["parity"]["status"] == "certified"


@pytest.mark.slow
def test_an_encoder_is_solved_to_an_artifact_that_answers(tmp_path: Path) -> None:
    """The same stages, and what comes out is opened, asked and measured as any other artifact.

    Its limits are a phone's, and no process here could keep them: that is nothing that this machine knows of a phone.
    """
    folder = task_folder(tmp_path, "banking", 0.01, "scratch:bert-tiny")
    task = (folder / "hone.yaml").read_text()
    limits = "device: {class: phone, size_mb: 5, ram_mb: 1, first_token_ms: 0.001, context: 256, prompt_tokens: 64}"
    (folder / "hone.yaml").write_text(re.sub(r"device:.*", limits, task))
    result = solve(folder, minutes=MINUTES, show=Silent())
    assert result["solved"] is True
    assert (result["within_budget"], result["over_budget"]) == (None, [])
    assert result["planned"]["class"] == "phone"
    assert result["planned"]["figures"]["ram_mb"]["holds"] is False
    assert "ms_per_token" not in result["planned"]["figures"], "an encoder writes no tokens"
    assert result["parity"]["status"] == "certified"
    assert result["test_n"] == 80
    assert result["ms_per_token"] is None
    certificate = json.loads((folder / result["artifact"] / "certificate.json").read_text())
    assert certificate["kind"] == "encoder"
    assert certificate["training_modules"] == []
    with hone.load(folder / result["artifact"]) as model:
        assert model.ask("Where is my card?") in model.renderer.labels
        assert sum(model.probabilities("Where is my card?").values()) == pytest.approx(1.0)


@pytest.mark.slow
def test_from_a_base_its_verdict_its_cost_and_the_distance_from_it_are_said(tmp_path: Path) -> None:
    """The base was tuned for this very task, and its folder says so."""
    folder = task_folder(tmp_path, "banking", 0.001)
    tiny = Recipe(base="scratch:tiny", vocab_size=600, steps=4, warmup_steps=1, eval_every=4, batch_size=4)
    base = shutil.copytree(hone.attempt(folder, tiny).model, tmp_path / "base")
    file = folder / "hone.yaml"
    file.write_text(file.read_text().replace("base: scratch:500k", f"base: {base}"))
    rows = folder / "train.csv"
    rows.write_text("\n".join(rows.read_text().splitlines()[:41]) + "\n")
    show = Silent()
    result = solve(folder, minutes=2.0, show=show)
    assert result["artifact"] is not None
    for begin in (f"{base} was tuned", "parameters: ", "training memory: ", "training time: ", f"distance from {base}"):
        assert any(begin in line for line in show.lines), (begin, show.lines)


def test_two_solves_at_once_are_refused(tmp_path: Path) -> None:
    folder = task_folder(tmp_path, "voice", 0.02)
    with locked(folder / ".hone" / "solve.lock", "it"), pytest.raises(BusyError, match="is in use by process"):
        solve(folder, minutes=MINUTES, show=Silent())


@pytest.mark.slow
def test_a_target_out_of_reach_is_searched_for_and_a_larger_box_goes_on(tmp_path: Path) -> None:
    """Whatever the machine's speed: every attempt has its own name and change, and the end is an honest document."""
    folder = task_folder(tmp_path, "voice", 0.999)
    first = solve(folder, minutes=0.5, show=Silent())
    second = solve(folder, minutes=0.9, show=Silent())
    for result in (first, second):
        assert result["solved"] is False
        assert result["advice"]
        assert json.loads((folder / "result.json").read_text())["box_s"] == second["box_s"]
    assert second["attempts"] >= first["attempts"]
    runs = Lab(folder).runs()
    assert len({run.name for run in runs}) == len(runs)
    children = [run for run in runs if run.header.parent is not None]
    assert all(run.header.hypothesis and run.header.change for run in children)
    # The test is read for the artifact that a box ends with, never on the way.
    assert len(Lab(folder).test_readings()) <= 2
