"""A model trained for its grid is its own original: its certificate and its card say what they do not measure."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate.certify import ON_GRID
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.witness import Witness
from hone.deploy.gguf.writing import export
from hone.deploy.quantization.grids import nearest, values_of
from hone.deploy.quantization.offered import prepare
from hone.deploy.rendering import open_artifact
from hone.files import read_json, write_json
from hone.task.spec import Device

pytest.importorskip("xllamacpp")
DEVICE = Device(context=96, prompt_tokens=16)


def test_the_original_of_a_model_that_was_trained_for_its_grid_lies_on_it(plain_model: Any, tmp_path: Path) -> None:
    plain, renderer = plain_model("extract")
    folder = Path(shutil.copytree(plain, tmp_path / "model"))
    weights = load_file(plain / "model.safetensors")
    rounded = {name: values_of(nearest(one, 4)) if one.ndim == 2 else one for name, one in weights.items()}
    save_file(rounded, folder / "model.safetensors")
    hone = read_json(plain / "hone.json")
    write_json(folder / "hone.json", {**hone, "aware": "q4_0"})
    session = open_artifact(export(folder, "f32", tmp_path / "f32.gguf"), parallel=8)
    try:
        witness = Witness(
            renderer=renderer,
            examples=[renderer.example(item["row"], item["fields"]) for item in hone["examples"]],
            original=Original(logprobs=session.logprobs, generate=session.generate),
            max_new_tokens=12,
            notes=["dev: 1 of 9 rows left out"],
        )
        for name, is_said in (("q4_0", True), ("f32", False)):
            out = tmp_path / name
            certificate = export_certified(folder, out, name, DEVICE, witness, prepared=prepare(folder, name, []))
            assert (ON_GRID in certificate.notes) is is_said
            card = (out / "README.md").read_text()
            assert (ON_GRID in card) is is_said
            assert "- dev: 1 of 9 rows left out\n" in card
    finally:
        session.close()
