"""One published model through both runtimes: the story that its authors' own program writes."""

from __future__ import annotations

import pytest

from hone.deploy.runtime import runtime
from hone.errors import InputError

pytest.importorskip("xllamacpp")
pytest.importorskip("onnxruntime")
# Of the readme beside the file: what its authors' run.c writes at temperature 0.
PUBLISHED = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."


def test_every_runtime_writes_the_same_story(story_model, tmp_path):
    stories = {}
    for name, weights in (("gguf", "f32"), ("onnx", "fp32"), ("onnx", "fp16")):
        found = runtime(name)
        session = found.open(found.export(story_model, weights, tmp_path / f"{weights}{found.suffix}"), 1, 256)
        (answer,) = session.generate([[1]], max_new_tokens=120, end_id=1)
        stories[weights] = answer.ids
        assert session.detokenize(answer.ids).startswith(PUBLISHED), weights
        session.close()
    assert stories["fp32"] == stories["f32"] == stories["fp16"]


def test_rows_of_172_take_no_blocks(story_model, tmp_path):
    for name, weights in (("gguf", "q8_0"), ("onnx", "int8"), ("onnx", "int4")):
        with pytest.raises(InputError, match="rows of 172 weights do not divide by the 32"):
            runtime(name).export(story_model, weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()
