"""A model trained for its grid is its own original: certificate and card say so, and what it is beside its floats."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from hone.data.tokenizer import TextTokenizer
from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate.certify import NO_FLOATS, ON_GRID, Certificate, certify
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.witness import FloatModel, Witness
from hone.deploy.gguf.writing import export
from hone.deploy.quantization.grids import nearest, values_of
from hone.deploy.quantization.offered import prepare
from hone.deploy.rendering import open_artifact
from hone.deploy.weights import Prepared
from hone.files import file_hash, read_json, write_json
from hone.model.folder import ModelFolder, files_id
from hone.solving.floats import float_model_of
from hone.task.spec import Device

pytest.importorskip("xllamacpp")
DEVICE = Device(context=96, prompt_tokens=16)


def on_grid(plain: Path, folder: Path) -> Path:
    """A copy whose matrices lie on the grid of 4 bits, and which says that it was trained for it."""
    shutil.copytree(plain, folder)
    weights = load_file(plain / "model.safetensors")
    rounded = {name: values_of(nearest(one, 4)) if one.ndim == 2 else one for name, one in weights.items()}
    save_file(rounded, folder / "model.safetensors")
    write_json(folder / "hone.json", {**read_json(plain / "hone.json"), "aware": "q4_0", "base": str(plain)})
    return folder


def hashed(folder: Path) -> Path:
    """The folder with the hashes of its files written, as a run writes them."""
    hashes = {file.name: file_hash(file) for file in folder.iterdir() if file.name != "hone.json"}
    write_json(folder / "hone.json", {**read_json(folder / "hone.json"), "hashes": hashes})
    return folder


def original(session: Any) -> Original:
    return Original(logprobs=session.logprobs, generate=session.generate)


@pytest.fixture
def witnesses(plain_model: Any, tmp_path: Path) -> Any:
    """The folder on the grid, its witness, and what it began from."""
    plain, renderer = plain_model("extract")
    folder = on_grid(plain, tmp_path / "model")
    hone = read_json(plain / "hone.json")
    sessions = [open_artifact(export(one, "f32", tmp_path / f"{one.name}.gguf"), parallel=8) for one in (folder, plain)]
    witness = Witness(
        renderer=renderer,
        examples=[renderer.example(item["row"], item["fields"]) for item in hone["examples"]],
        original=original(sessions[0]),
        max_new_tokens=12,
        notes=["dev: 1 of 9 rows left out"],
    )
    yield folder, witness, FloatModel(name="0001-floats", renderer=renderer, original=original(sessions[1]))
    for session in sessions:
        session.close()


def test_the_original_of_a_model_that_was_trained_for_its_grid_lies_on_it(witnesses: Any, tmp_path: Path) -> None:
    folder, witness, _ = witnesses
    witness = replace(witness, no_floats="it began from nothing")
    for name, is_said in (("q4_0", True), ("f32", False)):
        out = tmp_path / name
        certificate = export_certified(folder, out, name, DEVICE, witness, prepared=prepare(folder, name, []))
        assert (f"{ON_GRID}; {NO_FLOATS} (it began from nothing)" in certificate.notes) is is_said
        card = (out / "README.md").read_text()
        assert (ON_GRID in card) is is_said
        assert "- dev: 1 of 9 rows left out\n" in card


def test_beside_the_model_in_floats_it_says_what_rounding_cost_and_no_gate_asks(
    witnesses: Any, plain_model: Any, tmp_path: Path
) -> None:
    folder, witness, floats = witnesses
    out, witness = tmp_path / "out", replace(witness, floats=floats)
    certificate = export_certified(folder, out, "q4_0", DEVICE, witness, prepared=prepare(folder, "q4_0", []))
    assert certificate.floats is not None
    assert certificate.parity is not None
    assert certificate.floats.spread.positions == certificate.parity.positions
    assert certificate.parity.kld_mean < 1e-3 < certificate.floats.spread.kld_mean
    # The same as rounding the model in floats to the same values costs by its own certificate.
    plain, _ = plain_model("extract")
    codes = Prepared(codes=prepare(folder, "q4_0", []).codes, how="gptq")
    told = certify_of(plain, tmp_path / "plain.gguf", codes, replace(witness, original=floats.original, floats=None))
    assert told.parity is not None
    assert certificate.floats.spread.kld_mean == pytest.approx(told.parity.kld_mean, rel=1e-3)
    (note,) = [line for line in certificate.notes if line.startswith(ON_GRID)]
    assert "(0001-floats): mean divergence" in note
    assert note.endswith("no gate")
    assert f"- {note}\n" in (out / "README.md").read_text()
    stored = read_json(out / "certificate.json")["floats"]
    assert (stored["base"], stored["compared"]) == ("0001-floats", None)
    assert not any("floats" in gate.name for gate in certificate.gates)


def certify_of(model: Path, file: Path, prepared: Prepared, witness: Witness) -> Certificate:
    """Of a file, whether its gates hold or not."""
    return certify(export(model, "q4_0", file, prepared), DEVICE, witness)


def test_the_model_in_floats_is_taken_only_where_it_did_this_task_on_these_tokens(
    plain_model: Any, tmp_path: Path
) -> None:
    plain, _ = plain_model("extract")
    runs = tmp_path / "task" / "runs"
    folder = on_grid(plain, runs / "0002-aware" / "model")
    base = hashed(Path(shutil.copytree(plain, runs / "0001-floats" / "model")))
    written, own = read_json(base / "hone.json"), files_id(base)

    def found(of: str, **changes: Any) -> tuple[Any, str]:
        write_json(folder / "hone.json", {**hone, "base": of, "base_files": own})
        write_json(base / "hone.json", {**written, **changes})
        return float_model_of(ModelFolder(folder, TextTokenizer), lambda hone, renderer: {})

    hone = read_json(folder / "hone.json")
    assert float_model_of(ModelFolder(plain, TextTokenizer), lambda hone, renderer: {}) == (None, "")
    # As the recipe names it: from the task's folder too.
    for of in (str(base), "runs/0001-floats/model"):
        model, why_not = found(of)
        assert (model.name, why_not) == ("0001-floats", "")
    for of, changes, sentence in (
        ("scratch:1m", {}, "began from scratch:1m, and no model of this task is there"),
        (str(base), {"aware": "q8_0"}, "0001-floats, which was trained for a grid itself"),
        (str(base), {"task": "another"}, "not trained for this task"),
        (str(base), {"hashes": {"config.json": "other"}}, "the model there has other files than that had"),
        (str(base), {"format": 0}, "0001-floats, which cannot be read (InputError: "),
    ):
        model, why_not = found(of, **changes)
        assert model is None
        assert sentence in why_not


def test_the_model_in_floats_is_that_of_the_runs_own_task_whole_and_no_other(
    plain_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = plain_model("extract")
    task, another = tmp_path / "task", tmp_path / "another"
    folder, of = on_grid(plain, task / "runs" / "0002-aware" / "model"), "runs/0001-floats/model"
    base, namesake = hashed(Path(shutil.copytree(plain, task / of))), Path(shutil.copytree(plain, another / of))
    (namesake / "config.json").write_text((plain / "config.json").read_text() + " ")
    hashed(namesake)
    hone = {**read_json(folder / "hone.json"), "base": of}
    monkeypatch.chdir(another)

    def found(**stated: str) -> tuple[Any, str]:
        write_json(folder / "hone.json", {**hone, **stated})
        model, why_not = float_model_of(ModelFolder(folder, TextTokenizer), lambda hone, renderer: {})
        return model, why_not

    own = files_id(base)
    assert own != files_id(namesake)
    assert found(base_files=own)[0].name == "0001-floats"
    assert found() == (None, "it began from 0001-floats, and which files that had is not recorded")
    # One byte of the weights: a comparison that no gate asks for is left out, and says so.
    damaged = bytearray((base / "model.safetensors").read_bytes())
    damaged[-1] ^= 1
    (base / "model.safetensors").write_bytes(damaged)
    model, why_not = found(base_files=own)
    assert model is None
    assert "which cannot be read (FailedError: " in why_not
    # Where the task's own is gone, another task's of the same name takes no place of it.
    shutil.rmtree(base)
    assert found(base_files=own) == (
        None,
        "it began from 0001-floats, and the model there has other files than that had",
    )
