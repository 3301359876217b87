"""The Python face: names that arrive when they are used, and a model that answers without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hone
from hone.errors import InputError

VOICE = Path(__file__).resolve().parent / "data" / "voice"


@pytest.mark.parametrize("name", hone.__all__)
def test_every_promised_name_is_there(name):
    assert callable(getattr(hone, name))


def test_a_task_is_loaded_from_its_folder():
    assert hone.Task.load(VOICE).metric == "field_f1"


def test_load_refuses_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no such artifact"):
        hone.load(tmp_path / "none.gguf")
    with pytest.raises(InputError):
        hone.load(tmp_path)


def test_export_without_runs_says_how_to_start(tmp_path):
    (tmp_path / "hone.yaml").write_text((VOICE / "hone.yaml").read_text())
    with pytest.raises(InputError, match="no model to export"):
        hone.export(tmp_path)
    with pytest.raises(InputError, match='did you mean "q8_0"'):
        hone.export(tmp_path, weights="q8")


def test_the_face_imports_no_torch_before_it_is_needed():
    code = "import sys, json, hone; hone.solve, hone.load, hone.Lab; print(json.dumps('torch' in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) is False


def test_a_run_that_other_data_leaves_behind_is_named(tmp_path):
    shutil.copytree(VOICE, tmp_path / "voice")
    recipe = hone.Recipe(base="scratch:tiny", vocab_size=300, steps=4, eval_every=4, warmup_steps=1, batch_size=4)

    def attempt(**more):
        lines = []
        report = hone.attempt(tmp_path / "voice", recipe, say=lines.append, **more)
        return report, lines

    first, lines = attempt(should_stop=lambda: True)
    assert (first.status, first.step) == ("stopped", 1)
    assert not any("stays so" in line for line in lines)
    train = next((tmp_path / "voice").glob("train.*"))
    rows = train.read_text().splitlines(keepends=True)
    train.write_text("".join(rows[10:]))
    second, lines = attempt(should_stop=lambda: True)
    assert second.run == first.run + 1
    said = next(line for line in lines if "stays so" in line)
    assert "at step 1" in said
    assert "data " in said
