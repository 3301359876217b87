"""The check stage: the answer's own schema is held against every row, and an estimate follows the rows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hone.errors import InputError
from hone.solving.check import check

VOICE = Path(__file__).parents[1] / "data" / "voice"


def folder_with_schema(tmp_path: Path, schema: dict[str, object]) -> Path:
    folder = tmp_path / "voice"
    shutil.copytree(VOICE, folder)
    (folder / "answer.json").write_text(json.dumps(schema))
    with (folder / "hone.yaml").open("a") as file:
        file.write("schema: answer.json\n")
    return folder


def test_answers_that_satisfy_the_schema_pass_and_are_counted(tmp_path: Path) -> None:
    lines: list[str] = []
    folder = folder_with_schema(tmp_path, {"type": "object", "required": ["intent", "slots"]})
    checked = check(folder, 0, lines.append)
    count = len(checked.data.train) + len(checked.data.dev)
    assert any(f"all {count:,} answers" in line for line in lines)


def test_answers_that_break_it_are_named_with_row_and_place(tmp_path: Path) -> None:
    folder = folder_with_schema(tmp_path, {"properties": {"intent": {"enum": ["PlayMusic"]}}})
    with pytest.raises(InputError, match=r"answers do not satisfy .*train\.jsonl:\d+ at \$\.intent"):
        check(folder, 0, lambda line: None)


def test_a_schema_that_is_none_and_one_that_is_missing_are_sentences(tmp_path: Path) -> None:
    folder = folder_with_schema(tmp_path, {"type": 3})
    with pytest.raises(InputError, match="not a JSON Schema"):
        check(folder, 0, lambda line: None)
    (folder / "answer.json").unlink()
    with pytest.raises(InputError, match="there is no file"):
        check(folder, 0, lambda line: None)


def test_what_is_said_of_the_cost_has_its_formula(tmp_path: Path) -> None:
    shutil.copytree(VOICE, tmp_path / "voice")
    lines: list[str] = []
    checked = check(tmp_path / "voice", 0, lines.append)
    assert checked.memory_bytes > 0
    assert checked.epoch_s > 0
    assert any(line.startswith("parameters:") and "V*h" in line for line in lines)
    assert any(line.startswith("time: about") and "GFLOP/s" in line for line in lines)


def test_memory_is_that_of_the_device_that_will_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hone.model.estimate import training_memory

    shutil.copytree(VOICE, tmp_path / "voice")
    asked: dict[str, bool] = {}
    for device in ("cpu", "cuda", "mps"):

        def remember(*what: Any, on_cpu: bool, device: str = device) -> Any:
            asked[device] = on_cpu
            return training_memory(*what, on_cpu=on_cpu)

        monkeypatch.setattr("hone.solving.check.accelerator", lambda device=device: device)
        monkeypatch.setattr("hone.model.estimate.training_memory", remember)
        check(tmp_path / "voice", 0, lambda line: None)
    assert asked == {"cpu": True, "cuda": False, "mps": False}


def test_a_fit_of_this_machine_that_is_there_says_whether_the_budget_is_held_and_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hone.deploy import planning
    from hone.model.machine_fit import METHOD_ERROR, MachineFit

    shutil.copytree(VOICE, tmp_path / "voice")
    fits: dict[str, MachineFit] = {}
    monkeypatch.setattr(planning, "stored_fits", lambda threads: fits)
    monkeypatch.setattr(planning, "measure_machine", None)
    silent: list[str] = []
    check(tmp_path / "voice", 0, silent.append)
    fits["gguf"] = MachineFit(
        name="this-machine", runtime="gguf", threads=1, constants=planning.REFERENCE["gguf"], errors=METHOD_ERROR
    )
    lines: list[str] = []
    check(tmp_path / "voice", 0, lines.append)
    assert [line for line in silent if line.startswith("plan:")] == []
    (planned,) = (line for line in lines if line.startswith("plan:"))
    assert "is expected to hold the device's budget in" in planned


def test_limits_for_another_class_are_planned_from_its_published_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hone.deploy import planning

    folder = shutil.copytree(VOICE, tmp_path / "voice")
    task = (folder / "hone.yaml").read_text()
    (folder / "hone.yaml").write_text(re.sub(r"device:.*", "device: {class: phone, size_mb: 5}", task))
    monkeypatch.setattr(planning, "stored_fits", None)
    monkeypatch.setattr(planning, "measure_machine", None)
    lines: list[str] = []
    check(folder, 0, lines.append)
    (planned,) = (line for line in lines if line.startswith("plan for phone, from published figures: "))
    assert "is expected to hold the device's budget in" in planned
    (folder / "hone.yaml").write_text(re.sub(r"device:.*", "device: {class: phon}", task))
    with pytest.raises(InputError, match=r"device.class: must be this-machine, phone, .*; got \"phon\""):
        check(folder, 0, lines.append)
