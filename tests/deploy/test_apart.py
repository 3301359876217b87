"""Embedding and output layer in kinds of their own: what the files hold, what is said of it, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest

from hone.deploy.apart import Apart, kinds_apart, told
from hone.deploy.artifact.making import export_certified
from hone.deploy.certificate.original import Original
from hone.deploy.certificate.witness import Witness
from hone.deploy.decoders import EMBEDDING, HEAD
from hone.deploy.gguf.writing import export
from hone.deploy.rendering import open_artifact
from hone.deploy.tensors import Tensors
from hone.deploy.weights import Prepared, stored_bytes, weight_format
from hone.errors import InputError
from hone.files import read_json, write_json
from hone.solving.exporting import Source, foreseen
from hone.task.spec import Device

TIED = {"model_type": "llama", "tie_word_embeddings": True}
SHAPES = {EMBEDDING: (512, 64), "model.layers.0.self_attn.q_proj.weight": (64, 64), HEAD: (512, 64)}
ENCODER = {"bert.embeddings.word_embeddings.weight": (512, 64), "classifier.weight": (3, 64)}


def kinds(wish: Apart, weights: str = "q4_0", config: dict[str, Any] = TIED, shapes: Any = SHAPES) -> dict[str, str]:
    return kinds_apart(config, shapes, weight_format(weights), wish)


def test_each_runtime_takes_its_own_kind_of_those_that_are_named() -> None:
    wish = Apart(embedding=("q8_0", "int8-g64"))
    assert kinds(wish) == {EMBEDDING: "q8_0"}
    assert kinds(wish, "int4") == {EMBEDDING: "int8-g64"}
    assert kinds(Apart(), "int4") == {}
    untied = {**TIED, "tie_word_embeddings": False}
    assert kinds(Apart(embedding=("f16",), head=("q6_k",)), config=untied) == {EMBEDDING: "f16", HEAD: "q6_k"}
    encoder = kinds(Apart(embedding=("q8_0",)), config={"model_type": "bert"}, shapes=ENCODER)
    assert encoder == {"bert.embeddings.word_embeddings.weight": "q8_0"}


def test_what_cannot_be_is_refused_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        kinds(Apart(embedding=("q8",), head=("q8_0",)))
    assert len(caught.value.problems) == 2
    assert '--embedding "q8" is no kind; did you mean "q8_0"' in caught.value.problems[0]
    assert "embedding and output layer are one matrix here" in caught.value.problems[1]
    for wish, weights, sentence in (
        (Apart(embedding=("int8",)), "q4_0", "names no kind of gguf, for q4_0; name one of f32, f16, q8_0"),
        (Apart(embedding=("q8_0", "f16")), "q4_0", "names 2 kinds of gguf"),
    ):
        with pytest.raises(InputError, match=sentence):
            kinds(wish, weights)
    with pytest.raises(InputError, match="what its head ends with stays in floats"):
        kinds(Apart(head=("f16",)), config={"model_type": "bert"}, shapes=ENCODER)


def test_a_file_with_its_embedding_apart_is_certified_and_says_so(plain_model: Any, tmp_path: Any) -> None:
    pytest.importorskip("xllamacpp")
    folder, renderer = plain_model("extract")
    hone = read_json(folder / "hone.json")
    session = open_artifact(export(folder, "f32", tmp_path / "f32.gguf"), parallel=8)
    try:
        witness = Witness(
            renderer=renderer,
            examples=[renderer.example(item["row"], item["fields"]) for item in hone["examples"]],
            original=Original(logprobs=session.logprobs, generate=session.generate),
            max_new_tokens=12,
        )
        prepared = Prepared(kinds={EMBEDDING: "f16"})
        device = Device(context=96, prompt_tokens=16)
        certificate = export_certified(folder, tmp_path / "out", "q8_0", device, witness, prepared=prepared)
    finally:
        session.close()
    tensors = {one.name: one for one in gguf.GGUFReader(tmp_path / "out" / "model.gguf").tensors}
    assert tensors["token_embd.weight"].tensor_type.name == "F16"
    assert tensors["blk.0.attn_q.weight"].tensor_type.name == "Q8_0"
    assert f"stored otherwise than q8_0: {EMBEDDING} as f16" in certificate.notes
    assert read_json(tmp_path / "out" / "hone.json")["kinds"] == {EMBEDDING: "f16"}
    assert certificate.notes[0] in (tmp_path / "out" / "README.md").read_text()
    size = stored_bytes({EMBEDDING: (32, 64)}, weight_format("q8_0"), prepared)
    assert size == 32 * 64 * 2


def test_nothing_is_apart_in_a_model_that_was_trained_for_its_format(plain_model: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain_model("extract")[0], tmp_path / "model"))
    source = Source(model=folder, stem="toy", out=tmp_path, order={})
    wish = Apart(embedding=("q8_0", "int8"))
    plain, larger = foreseen(source, ["q4_0"]), foreseen(source, ["q4_0"], wish)
    assert larger[0].refusals == ()
    rows = Tensors(folder).shapes[EMBEDDING][0]
    assert larger[0].size_bytes - plain[0].size_bytes == rows * 64 * 4 / 8
    write_json(folder / "hone.json", {**read_json(folder / "hone.json"), "aware": "q4_0"})
    for weights in ("q4_0", "int4"):
        assert "trained for q4_0, its embedding too" in foreseen(source, [weights], wish)[0].refusals[0]
    assert foreseen(source, ["f16"], Apart(embedding=("q8_0",)))[0].refusals == ()


def test_many_matrices_are_counted_and_few_are_named() -> None:
    few, many = {"a": "f16", "b": "q8_0"}, dict.fromkeys("abcd", "q6_k") | {"e": "f16"}
    assert told(few, "q4_0") == "stored otherwise than q4_0: a as f16, b as q8_0"
    assert told(many, "q4_0") == "stored otherwise than q4_0: 1 matrix as f16, 4 matrices as q6_k"
