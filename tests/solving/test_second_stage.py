"""A second stage on the grid beside rounding: what is taken and exported, what is trained once, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

import hone
import hone.solving.second_stage as stages_of_runs
from hone.attempts import AttemptReport
from hone.cli import main
from hone.deploy.apart import Apart
from hone.deploy.gguf.decoder import tensor_names
from hone.deploy.quantization.grids import recognised
from hone.errors import FailedError, InputError
from hone.files import read_json, write_json
from hone.solving.exporting import Source, run_source, training_line
from hone.solving.second_stage import export_trained, source_and_stages
from hone.solving.single import Wish, carry
from hone.solving.watched import Watched

VOICE = Path(__file__).resolve().parent.parent / "data" / "voice"
NAMES, STEPS = ["q4_0", "int4-g16", "q8_0"], 6
OFFER = re.compile(r"artifact (\S+), (\w+): mean divergence (\S+) nats")
TAKEN = re.compile(r"artifact (\S+): (\w+) is taken")
Exported = dict[str, tuple[str, str]]


def unsaid(line: str) -> None:
    """Takes a line."""


def trains(wish: Wish) -> AttemptReport:
    return carry(wish, Watched(), forked=False)


def trains_nothing(wish: Wish) -> AttemptReport:
    raise AssertionError(f"{wish.name} is trained")


def found(folder: Path, run: int = 1, names: list[str] = NAMES, steps: int = STEPS) -> tuple[Source, Any]:
    return source_and_stages(lambda: run_source(folder, run, None, unsaid), names, "train", steps=steps)


def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    """Of each format the run and the way that it is exported by; nothing is written."""
    made: Exported = {}

    def export(source: Source, names: list[str], *_: Any, prepared: Any) -> list[dict[str, Any]]:
        for name in names:
            made[name] = source.order["run"], prepared[name].how if name in prepared else "train"
        return [{"certificate": {"weights": name}} for name in names]

    monkeypatch.setattr(stages_of_runs, "export_each", export)
    return made


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task folder with a run of a few steps; tests take copies, or leave it as it is."""
    folder = tmp_path_factory.mktemp("stage") / "voice"
    shutil.copytree(VOICE, folder)
    config = (folder / "hone.yaml").read_text()
    (folder / "hone.yaml").write_text(config.replace("dev: 0.15", "dev: 0.05"))
    rows = (folder / "train.jsonl").read_text().splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(rows[:120]))
    recipe = hone.Recipe(base="scratch:tiny", vocab_size=300, steps=8, eval_every=8, warmup_steps=1, batch_size=4)
    hone.attempt(folder, recipe.child(eval_rows=2, swap_values=0.4), name="floats")
    return folder


@pytest.fixture(scope="module")
def trained(task: Path) -> tuple[list[str], Exported]:
    """The lines of a first call, and what was exported."""
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = exported(monkeypatch)
        export_trained(*found(task), "quick", lines.append, trains)
    return lines, made


def ways(lines: list[str]) -> dict[str, dict[str, float]]:
    """Divergence by format and way, as said."""
    read: dict[str, dict[str, float]] = {}
    for line in lines:
        if match := OFFER.match(line):
            read.setdefault(match[1], {})[match[2]] = float(match[3])
    return read


def test_what_is_taken_has_the_least_divergence_of_all_that_is_said(trained: Any) -> None:
    lines, made = trained
    told, taken = ways(lines), dict(match.groups() for line in lines if (match := TAKEN.match(line)))
    assert set(told) == set(taken) == set(made) == set(NAMES)
    for name, offers in told.items():
        assert set(offers) == {"none", "importance", "gptq", "train"}
        assert offers[taken[name]] == min(offers.values())
        run, way = made[name]
        assert way == taken[name]
        assert run.startswith("0001-" if way != "train" else ("0003-" if name == "q8_0" else "0002-"))


def test_formats_of_one_grid_share_one_stage_with_its_lineage(task: Path, trained: Any) -> None:
    lab = hone.Lab(task)
    assert [run.folder.name for run in lab.runs()] == ["0001-floats", "0002-q4_0-of-0001", "0003-q8_0-of-0001"]
    first, stage = lab.runs()[0], lab.runs()[1]
    assert stage.header.parent == 1
    assert (stage.recipe["aware"], stage.recipe["steps"], stage.recipe["optimizer"]) == ("q4_0", STEPS, "adamw")
    same = ("layout", "context", "batch_size", "swap_values", "seed", "threads")
    assert [stage.recipe[key] for key in same] == [first.recipe[key] for key in same]
    assert stage.result is not None
    assert stage.result["kept_step"] == STEPS


def test_what_is_said_of_training_is_what_its_model_diverges(task: Path, trained: Any) -> None:
    """The values of the trained model in place of the floats', over the same rows."""
    from hone.data.tokenizer import TextTokenizer
    from hone.deploy.quantization.calibration import batches_of
    from hone.deploy.quantization.offered import divergence, original_logits
    from hone.model.folder import ModelFolder
    from hone.solving.calibrating import rows_to_round_by

    lines, _ = trained
    source, _ = found(task)
    model = ModelFolder(source.model, TextTokenizer)
    _, judged = rows_to_round_by(model, source.order["task"], source.order["data"], unsaid)
    module, batches = model.load(), batches_of(judged)
    values = load_file(task / "runs" / "0002-q4_0-of-0001" / "model" / "model.safetensors")
    wanted, _, _ = divergence(original_logits(module, batches), module, batches, values)
    assert ways(lines)["q4_0"]["train"] == pytest.approx(wanted, rel=0.01)


def test_a_second_call_trains_nothing_and_finds_the_stage_where_the_folder_was_moved_too(
    task: Path, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = trained
    for folder in (task, Path(shutil.copytree(task, tmp_path / "moved"))):
        lines: list[str] = []
        made = exported(monkeypatch)
        export_trained(*found(folder, names=["q4_0"]), "quick", lines.append, trains_nothing)
        assert made == {"q4_0": first["q4_0"]}
        assert any(
            line.endswith("run 0002-q4_0-of-0001 was trained on the grid of q4_0 from 0001-floats already")
            for line in lines
        )


def test_a_stage_of_other_base_files_is_not_taken_for_this_one(task: Path, trained: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(task, tmp_path / "voice"))
    described = folder / "runs" / "0001-floats" / "model" / "hone.json"
    hone_json = read_json(described)
    write_json(described, {**hone_json, "hashes": {**hone_json["hashes"], "config.json": "other"}})
    _, stages = found(folder)
    assert [stage.known for stage in stages] == [None, None]
    # In the same place the lab would take it for the same run.
    recipe = folder / "runs" / "0002-q4_0-of-0001" / "run.json"
    write_json(recipe, {**read_json(recipe), "recipe_id": stages[0].wish.recipe.id})
    with pytest.raises(InputError, match=r"was trained from other files than .* has now"):
        found(folder)


def test_a_stopped_stage_says_so_and_is_gone_on_with(
    task: Path, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = Path(shutil.copytree(task, tmp_path / "voice")), exported(monkeypatch)

    def stops(wish: Wish) -> AttemptReport:
        return carry(wish, Watched(should_stop=lambda: True), forked=False)

    with pytest.raises(FailedError, match=r"run 0004-q4_0-of-0001 is paused at step 1 of 3, saved: repeat the command"):
        export_trained(*found(folder, names=["q4_0"], steps=3), "quick", unsaid, stops)
    assert made == {}
    source, (stage,) = found(folder, names=["q4_0"], steps=3)
    assert "run 0004-q4_0-of-0001 goes on at step 1 of 3" in stage.line()
    export_trained(source, [stage], "quick", unsaid, trains)
    assert hone.Lab(folder).run(4).status == "finished"
    assert set(made) == {"q4_0"}


def test_the_artifact_of_a_trained_model_holds_its_very_weights_on_the_grid(
    task: Path, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp")
    monkeypatch.setattr(stages_of_runs, "best_of", lambda offers: offers[-1])  # whichever diverges least here
    lines: list[str] = []
    path = hone.export(task, 1, "q4_0", calibrate="train", train_steps=STEPS, say=lines.append)
    assert path.name == "voice-run0002-gguf-q4_0"
    assert [(item.run, item.path) for item in hone.Lab(task).artifacts()] == [(2, f"artifacts/{path.name}")]
    assert not any("--calibrate train" in line for line in lines)
    model = task / "runs" / "0002-q4_0-of-0001" / "model"
    weights, names = load_file(model / "model.safetensors"), tensor_names(read_json(model / "config.json"))
    stored = {one.name: one for one in gguf.GGUFReader(path / "model.gguf").tensors}
    matrices = [name for name, one in weights.items() if one.ndim == 2]
    for name in matrices:
        one = stored[names[name]]
        assert one.tensor_type == gguf.GGMLQuantizationType.Q4_0
        values = gguf.quants.dequantize(one.data, one.tensor_type).reshape(weights[name].shape)
        assert np.array_equal(values, weights[name])
        assert recognised(weights[name], 4) is not None
    assert matrices
    floats = read_json(path / "certificate.json")["floats"]
    assert floats["base"] == "0001-floats"


def test_a_copy_on_the_grid_is_not_the_best_run_of_its_task(task: Path, trained: Any) -> None:
    assert hone.Lab(task).best().folder.name == "0001-floats"


def test_what_cannot_be_trained_is_refused_with_all_reasons_at_once(task: Path, trained: Any) -> None:
    with pytest.raises(InputError) as caught:
        source_and_stages(
            lambda: run_source(task, 2, None, unsaid),
            ["q4_k_m", "q4_0", "f16"],
            "train",
            steps=0,
            mixed=True,
            apart=Apart(embedding=("q8_0",), head=("q8_0",)),
        )
    problems = caught.value.problems
    assert "q4_k_m, f16 has no grid to train on; these have one: q8_0, q4_0, int8, int4-g16, int4" in problems[0]
    options = [line.split()[0] for line in problems[1:5]]
    assert options == ["--mixed", "--embedding", "--head", "--train-steps"]
    assert "run 0002-q4_0-of-0001 was itself trained on the grid of q4_0" in problems[5]
    assert "name run 1, from which it began" in problems[5]
    assert "gguf q4_k_m: " in problems[6]


def test_changed_data_is_refused_together_with_what_is_asked_for(task: Path, trained: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(task, tmp_path / "voice"))
    rows = (folder / "train.jsonl").read_text().splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(rows[5:]))
    with pytest.raises(InputError) as caught:
        found(folder, names=["f16"])
    assert "f16 has no grid to train on" in caught.value.problems[0]
    assert "was trained on data version" in caught.value.problems[1]
    with pytest.raises(InputError, match=r"--train-steps 6 has no effect without --calibrate train"):
        source_and_stages(lambda: run_source(task, 1, None, unsaid), ["q4_0"], "auto", steps=STEPS)


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(task: Path, trained: Any, capsys: Any) -> None:
    before = sorted(task.rglob("*"))
    words = ["export", "1", str(task), "--weights", "q4_0,q8_0", "--calibrate", "train", "--dry-run", "--json"]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert sum("second stage on the grid of" in line and "8 steps, about " in line for line in said) == 2
    stages = json.loads(said[-1])["stages"]
    assert [(one["grid"], one["steps"], one["run"]) for one in stages] == [("q4_0", 8, None), ("q8_0", 8, None)]
    assert main([*words, "--train-steps", str(STEPS)]) == 0
    stages = json.loads(capsys.readouterr().out.splitlines()[-1])["stages"]
    assert [one["run"] for one in stages] == ["0002-q4_0-of-0001", "0003-q8_0-of-0001"]
    assert sorted(task.rglob("*")) == before


def test_a_model_without_its_task_is_not_trained(task: Path, trained: Any, capsys: Any) -> None:
    model = task / "runs" / "0001-floats" / "model"
    assert main(["export", str(model), "--weights", "q4_0,f16", "--calibrate", "train"]) == 2
    said = capsys.readouterr().err
    assert "is a model without its task; name its run" in said
    assert "f16 has no grid to train on" in said


def test_training_is_offered_in_a_line_where_it_can_be_tried(task: Path, trained: Any) -> None:
    source = run_source(task, 1, None, unsaid)
    line = training_line(source, ["q8_0", "q4_0", "q4_k_m", "int4"])
    assert line.endswith(f"hone export 1 {task} --weights q4_0,int4 --calibrate train")
    assert training_line(source, ["q8_0", "f16", "q4_k_m", "int4-g64"]) == ""
    assert training_line(run_source(task, 2, None, unsaid), ["q4_0"]) == ""
    bare = replace(source, order={"folder": str(task)})
    assert training_line(bare, ["q4_0"]) == ""


def test_the_model_of_a_run_is_moved_gently_whatever_it_was_trained_with(task: Path, trained: Any) -> None:
    """Keys that would be refused beside a grid, or act on a base anew, are put back; batches stay."""
    source, _ = found(task)
    of = hone.Recipe.model_validate(hone.Lab(task).run(1).recipe)
    wild = of.child(
        strategy="fsdp", processes=2, on_spike="rewind", eval_every=2, early_stop=1, layer_decay=0.5, average=0.9,
        label_smoothing=0.1, freeze=("*embed*",), packing=True, learning_rate=0.1,
    )  # fmt: skip
    recipe = stages_of_runs._recipe(source, wild, "q4_0", 40)
    assert (recipe.learning_rate, recipe.warmup_steps, recipe.eval_every) == (1e-4, 2, 40)
    assert (recipe.strategy, recipe.freeze, recipe.layer_decay, recipe.average) == ("ddp", (), 1.0, 0.0)
    assert (recipe.packing, recipe.processes, recipe.batch_size) == (True, 2, 4)
