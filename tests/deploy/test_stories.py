"""One published model through both runtimes: the story that its authors' own program writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from hone.deploy.runtime import runtime
from hone.errors import InputError
from hone.model.llama2c import Llama2cFile, read_tensors

pytest.importorskip("xllamacpp")
pytest.importorskip("onnxruntime")
STORIES = Path(__file__).parents[1] / "model" / "data" / "stories260K" / "stories260K.bin"
# Of the readme beside the file: what its authors' run.c writes at temperature 0.
PUBLISHED = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The file as a model folder, without torch."""
    folder = tmp_path_factory.mktemp("stories")
    file = Llama2cFile(STORIES)
    save_file(read_tensors(STORIES), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(file.config))
    file.rust().save(str(folder / "tokenizer.json"))
    return folder


def test_every_runtime_writes_the_same_story(folder, tmp_path):
    stories = {}
    for name, weights in (("gguf", "f32"), ("onnx", "fp32"), ("onnx", "fp16")):
        found = runtime(name)
        session = found.open(found.export(folder, weights, tmp_path / f"{weights}{found.suffix}"), 1, 256)
        (answer,) = session.generate([[1]], max_new_tokens=120, end_id=1)
        stories[weights] = answer.ids
        assert session.detokenize(answer.ids).startswith(PUBLISHED), weights
        session.close()
    assert stories["fp32"] == stories["f32"] == stories["fp16"]


def test_rows_of_172_take_no_blocks(folder, tmp_path):
    for name, weights in (("gguf", "q8_0"), ("onnx", "int8"), ("onnx", "int4")):
        with pytest.raises(InputError, match="rows of 172 weights do not divide by the 32"):
            runtime(name).export(folder, weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()
