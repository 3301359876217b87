"""``hone plan``: the task's first model beside its budget, one's own shape, and what it says over the budget."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hone.cli import main
from hone.deploy import planning
from hone.model.machine_fit import METHOD_ERROR, MachineFit
from hone.task.spec import Device

VOICE = Path(planning.__file__).resolve().parents[1] / "examples" / "voice"
Said = tuple[int, str, dict[str, Any]]


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Device, bool]]:
    """Fits with the reference's constants, as if they had been measured; every time that they were asked for."""
    asked: list[tuple[Device, bool]] = []

    def fits(device: Device, say: Any, *, anew: bool = False) -> dict[str, MachineFit]:
        asked.append((device, anew))
        return {
            name: MachineFit(
                name="this-machine",
                runtime=name,
                threads=device.threads,
                constants=own,
                errors=METHOD_ERROR,
                smallest_mb=1.0,
                largest_mb=10.0,
            )
            for name, own in planning.REFERENCE.items()
        }

    monkeypatch.setattr(planning, "fits_of_this_machine", fits)
    return asked


@pytest.fixture
def plan(asked_for: list[tuple[Device, bool]], capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> Said:
        status = main(["plan", *words, "--json"])
        captured = capsys.readouterr()
        return status, captured.err, json.loads(captured.out.splitlines()[-1])

    return run


def test_the_first_model_of_a_task_is_planned_in_every_format_beside_its_limits(plan: Any) -> None:
    status, said, document = plan(str(VOICE))
    assert status == 0
    assert document["asked"] == "500k"
    assert "budget: size_mb 5 MB, ram_mb 150 MB" in said
    formats = {one["weights"]: one for one in document["plan"]["asked"]}
    assert {"q8_0", "q4_0", "f16", "int8", "int4"} <= set(formats)
    assert formats["q8_0"]["holds"]
    assert formats["q8_0"]["vocabulary"] == 1632
    assert formats["q4_k_m"]["refused"] == "rows of 128 do not divide by the 256 of q6_k, a part of q4_k_m"
    predicted = formats["q8_0"]["predicted"]["size_mb"]
    assert predicted["low"] < predicted["value"] < predicted["high"]


def test_over_the_budget_it_ends_with_1_and_says_what_to_change(plan: Any) -> None:
    status, said, document = plan(str(VOICE), "--set", "device.size_mb=0.2")
    assert status == 1
    assert document["device"]["size_mb"] == 0.2
    assert "500k holds the budget in no format" in said
    levers = {one["lever"]: one for one in document["plan"]["advice"]}
    assert levers["width"]["gains"]["size_mb"] > 0
    assert "width 128 " in said
    assert "the largest that holds" in said


def test_memory_that_no_model_can_keep_is_said(plan: Any) -> None:
    status, said, _ = plan(str(VOICE), "--set", "device.ram_mb=20")
    assert status == 1
    process = planning.REFERENCE["gguf"]["ram_mb"]["process"]
    assert f"memory: the process takes {process:.0f} MB without any model, so no model holds 20 MB" in said
    _, said, _ = plan(str(VOICE), "--set", "device.size_mb=0.01")
    assert "without any model" not in said


def test_a_shape_of_ones_own_needs_no_task(plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, document = plan("--width", "512", "--layers", "6", "--vocab", "2048", "--set", "device.context=512")
    assert status == 0
    first = document["plan"]["asked"][0]
    assert (first["width"], first["layers"], first["vocabulary"], first["context"]) == (512, 6, 2048, 512)
    assert plan("--preset", "15M")[2]["asked"] == "15m"


def test_an_encoder_has_no_time_per_token(plan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, _, document = plan("--preset", "bert-1m")
    assert all("ms_per_token" not in one["predicted"] for one in document["plan"]["asked"])
    assert all(one["name"].startswith("bert-") for one in document["plan"]["presets"])


def test_a_base_stays_as_it_is_and_only_formats_and_context_are_tried(plan: Any, tmp_path: Path) -> None:
    from hone.deploy.probing import random_folder
    from hone.model.presets import Shape

    shape = Shape(hidden=64, layers=2, heads=4, kv_heads=2, ffn=192, vocab=700, context=512)
    base = random_folder(shape, tmp_path / "base")
    (tmp_path / "train.jsonl").write_text('{"text": "a", "answer": "b"}\n', encoding="utf-8")
    task = f"""task: toy
kind: generate
data: {{train: train.jsonl}}
input: "{{text}}"
output: "{{answer}}"
target: 0.5
base: {base}
device: {{context: 256, ram_mb: 1}}
"""
    (tmp_path / "hone.yaml").write_text(task, encoding="utf-8")
    status, said, document = plan(str(tmp_path))
    assert status == 1, said
    first = document["plan"]["asked"][0]
    shape_of = {key: first[key] for key in ("width", "layers", "kv_heads", "vocabulary", "context")}
    assert shape_of == {"width": 64, "layers": 2, "kv_heads": 2, "vocabulary": 700, "context": 256}
    assert document["plan"]["presets"] == []
    assert {one["lever"] for one in document["plan"]["advice"]} <= {"format", "context"}
    status, said, _ = plan(str(tmp_path), "--vocab", "512")
    assert status == 2
    assert "has a vocabulary of its own" in said


def test_a_class_is_planned_from_published_figures(plan: Any, asked_for: list[Any]) -> None:
    status, said, document = plan(str(VOICE), "--class", "phone", "--set", "ms_per_token=20")
    assert status == 0
    assert asked_for == [], "nothing of this machine is in it"
    assert "is not known beyond 100%: ±100%+ says so" in said
    assert "the error of memory and first token and time per token is not known beyond 100%" in said
    assert document["fits"]["gguf"]["name"] == document["device"]["class"] == "phone"
    times = [one["predicted"]["ms_per_token"] for one in document["plan"]["asked"] if one["holds"]]
    assert {one["error"] for one in times} == {1.0}, "the published models are hundreds of times as large"
    assert {(one["error_known"], one["high"]) for one in times} == {(False, None)}
    assert " ±100%+" in said
    assert "may hold" in said
    assert not re.search(r"(?<!may )holds$", said, re.MULTILINE), "nothing is sure of which the error is not known"
    status, _, document = plan(str(VOICE), "--class", "Phone")
    assert document["device"]["class"] == "phone", "names are taken in any case"


def test_the_class_of_the_task_is_planned_where_the_command_names_none(
    plan: Any, asked_for: list[Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(VOICE, tmp_path / "voice")
    task = (folder / "hone.yaml").read_text()
    (folder / "hone.yaml").write_text(task.replace("device: {", "device: {class: pi-zero-2w, "))
    _, said, document = plan(str(folder))
    assert document["fits"]["gguf"]["name"] == "pi-zero-2w"
    assert "class pi-zero-2w: llama.cpp on a Raspberry Pi Zero 2 W" in said
    assert asked_for == [], "nothing of this machine is in it"
    _, said, document = plan(str(folder), "--class", "this-machine")
    assert document["fits"]["gguf"]["name"] == "this-machine"
    status, said, _ = plan(str(folder), "--measure")
    assert status == 2
    assert "plan for this one with --class this-machine" in said


def test_what_holds_by_its_mean_alone_only_may_hold(plan: Any) -> None:
    _, _, document = plan(str(VOICE))
    first = document["plan"]["asked"][0]
    size = first["predicted"]["size_mb"]
    between = (size["value"] + size["high"]) / 2
    _, said, _ = plan(str(VOICE), "--set", f"device.size_mb={between}")
    (row,) = [line for line in said.splitlines() if f"{first['runtime']} {first['weights']} " in line][:1]
    assert row.endswith("may hold")
    _, said, _ = plan(str(VOICE), "--set", f"device.size_mb={size['high'] * 1.01}")
    (row,) = [line for line in said.splitlines() if f"{first['runtime']} {first['weights']} " in line][:1]
    assert row.endswith("  holds")


def test_a_class_without_a_limited_figure_decides_nothing_and_ends_with_1(plan: Any) -> None:
    limits = ("--set", "device.ram_mb=1", "--set", "device.first_token_ms=0.001", "--set", "device.threads=2")
    status, said, document = plan(str(VOICE), "--class", "pi-zero-2w", *limits)
    assert status == 1
    assert document["plan"]["asked"][0]["not_known"] == ["ram_mb", "first_token_ms"]
    assert "it is not known whether 500k holds the budget: pi-zero-2w has no figure for memory, first token" in said
    assert "500k holds the budget in" not in said
    assert "4 threads as published of pi-zero-2w (device.threads 2 changes nothing)" in said
    _, said, _ = plan(str(VOICE), "--class", "iphone-17-pro")
    assert "the GPU as published of iphone-17-pro" in said


def test_measure_asks_for_a_new_fit(plan: Any, asked_for: list[Any]) -> None:
    plan(str(VOICE), "--measure", "--set", "device.threads=2")
    assert [(device.threads, anew) for device, anew in asked_for] == [(2, True)]


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (["--set", "device.size=5", "--set", "context"], ["a device has no such key", "expected KEY=VALUE"]),
        (["--set", "device.size_mb=-1"], ["device.size_mb: Input should be greater than 0; got -1"]),
        (["--set", "device.size_mb=inf"], ["device.size_mb: Input should be a finite number; got 'inf'"]),
        (["--set", "device.prompt_tokens=500"], ["device: prompt_tokens 500 must be smaller than context 256\n"]),
        (["--set", "device.class=phone"], ["name the class with --class phone"]),
        (["--width", "100", "--layers", "0"], ["expected a multiple of 64", "--layers 0: expected a number from 1 to"]),
        (["--vocab", "3"], ["--vocab 3: expected a number from 260 to 1,048,576"]),
        (["--layers", "3000", "--width", "65536"], ["--layers 3,000: expected", "--width 65,536: expected"]),
        (["--set", "device.context=99999999"], ["device.context 99,999,999: contexts are planned up to 1,048,576"]),
        (["--class", "phones"], ['device class "phones" is not known; did you mean "phone"?']),
        (["--class", "phone", "--measure"], ["--measure measures this machine"]),
        (["--preset", "7m"], ['preset "7m" is not known']),
    ],
)
def test_what_is_wrong_is_said_at_once(plan: Any, words: list[str], sentences: list[str]) -> None:
    status, said, document = plan(str(VOICE), *words)
    assert status == 2
    assert all(sentence in said for sentence in sentences), said
    assert document["error"]["type"] == "InputError"
