"""The Python face: names that arrive when they are used, and a model that answers without torch."""

from __future__ import annotations

import json
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
