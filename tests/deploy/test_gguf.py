"""Facts about the files: what a reader that is not ours finds in them."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from hone.deploy.gguf.decoder import rotary_rows, tensor_names
from hone.deploy.gguf.writing import export
from hone.deploy.tensors import Tensors
from hone.deploy.weights import FORMATS, formats_within, next_smaller, stored_bytes, weight_format
from hone.errors import FailedError, InputError

gguf = pytest.importorskip("gguf")


def read(path: Path):
    reader = gguf.GGUFReader(path)
    return {tensor.name: tensor for tensor in reader.tensors}, {
        key: field.contents() for key, field in reader.fields.items()
    }


def test_f32_tensors_are_exactly_the_trained_ones_and_q_and_k_are_permuted(built, artifacts):
    tensors, keys = read(artifacts["f32"])
    source = Tensors(built.folder)
    config = json.loads((built.folder / "config.json").read_text())
    names = tensor_names(config)
    assert set(tensors) == set(names.values())
    assert "output.weight" not in tensors
    for ours, theirs in names.items():
        expected = source.read(ours)
        if theirs.endswith("attn_q.weight"):
            expected = rotary_rows(expected, 4)
        if theirs.endswith("attn_k.weight"):
            expected = rotary_rows(expected, 2)
        np.testing.assert_array_equal(tensors[theirs].data, expected, err_msg=theirs)
    assert keys["general.architecture"] == "llama"
    assert keys["llama.attention.head_count_kv"] == 2
    assert keys["llama.rope.dimension_count"] == 16


def test_rotary_rows_put_pair_partners_beside_each_other():
    # Transformers rotates row i with row i + d/2 of a head, llama.cpp row 2i with row 2i + 1.
    matrix = np.arange(8, dtype=np.float32)[:, None]
    assert rotary_rows(matrix, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(("name", "steps"), [("q8_0", 127), ("q5_0", 16), ("q4_0", 8)])
def test_quantized_values_stay_within_half_a_step_of_their_block(built, artifacts, name, steps):
    tensors, _ = read(artifacts[name])
    stored = tensors["blk.0.ffn_up.weight"]
    values = gguf.quants.dequantize(stored.data, stored.tensor_type)
    original = Tensors(built.folder).read("model.layers.0.mlp.up_proj.weight")
    blocks = original.reshape(-1, 32)
    largest = np.abs(blocks).max(-1, keepdims=True)
    # Rounding moves a value by half a step, and the scale's own rounding to 16 bits (2^-11 of it) by a share of it. The
    # 4- and 5-bit formats reach one step further on one side than on the other, so there it is a whole step.
    allowed = largest / steps * (0.5 if name == "q8_0" else 1.0) + largest * 2.0**-11 * 1.01
    assert (np.abs(values.reshape(-1, 32) - blocks) <= allowed).all()
    assert tensors["blk.0.attn_norm.weight"].data.dtype == np.float32


def test_vocabulary_has_control_tokens_and_hone_keys_travel_along(built, artifacts):
    _, keys = read(artifacts["q8_0"])
    assert keys["tokenizer.ggml.pre"] == "gpt-2"
    assert keys["tokenizer.ggml.add_bos_token"] is False
    assert len(keys["tokenizer.ggml.tokens"]) == built.tokenizer.vocab_size
    assert keys["tokenizer.ggml.token_type"][: len(built.tokenizer.specials)] == [3] * len(built.tokenizer.specials)
    assert keys["tokenizer.ggml.eos_token_id"] == built.renderer.end_id
    assert json.loads(keys["hone.renderer"]) == built.renderer.to_json()
    assert len(json.loads(keys["hone.examples"])) == 8
    assert keys["hone.weights"] == "q8_0"


def edited(built, tmp_path: Path, **changes) -> Path:
    folder = tmp_path / "edited"
    shutil.copytree(built.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_what_llama_cpp_would_do_otherwise_is_refused_all_at_once(built, tmp_path):
    folder = edited(
        built, tmp_path, model_type="gpt2", hidden_act="gelu", rope_scaling={"type": "yarn"}, rope_parameters=None
    )
    with pytest.raises(InputError) as caught:
        export(folder, "f32", tmp_path / "no.gguf")
    said = str(caught.value)
    assert "gpt2" in said
    assert "gelu" in said
    assert "yarn" in said
    assert not (tmp_path / "no.gguf").exists()


def test_an_untied_model_without_output_matrix_is_refused(built, tmp_path):
    folder = edited(built, tmp_path, tie_word_embeddings=False)
    with pytest.raises(InputError, match=r"lm_head\.weight is missing"):
        export(folder, "f32", tmp_path / "no.gguf")


def test_another_split_or_a_normalizer_is_refused(built, tmp_path):
    folder = tmp_path / "edited"
    shutil.copytree(built.folder, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["add_prefix_space"] = True
    tokenizer["normalizer"] = {"type": "NFC"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError) as caught:
        export(folder, "f32", tmp_path / "no.gguf")
    assert "add_prefix_space" in str(caught.value)
    assert "NFC" in str(caught.value)


def test_rows_that_do_not_divide_are_refused_by_name_never_stored_otherwise(built, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "odd"
    shutil.copytree(built.folder, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.down_proj.weight"] = np.zeros((64, 172), dtype=np.float32)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(
        InputError, match=r"layers\.0\.mlp\.down_proj\.weight: rows of 172 weights do not divide by the 32"
    ):
        export(folder, "q8_0", tmp_path / "no.gguf")


def test_non_finite_weights_and_cut_files_are_refused(built, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "nan"
    shutil.copytree(built.folder, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(FailedError, match=r"model\.norm\.weight has 1 values that are not finite"):
        export(folder, "f32", tmp_path / "no.gguf")
    whole = (built.folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(FailedError, match="cut off"):
        export(folder, "f32", tmp_path / "no.gguf")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_leaves_nothing_and_keeps_the_old_file(built, tmp_path):
    out = tmp_path / "toy.gguf"
    out.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(FailedError, match="nothing was left"):
            export(built.folder, "f32", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"old"


def test_bfloat16_weights_are_widened_exactly(tmp_path):
    header = {"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    values = np.array([[1.5, -2.0], [0.0, 3.0e38]], dtype=np.float32)
    text = json.dumps(header).encode()
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    found = Tensors(tmp_path).read("a")
    np.testing.assert_array_equal(found, (values.view(np.uint32) >> 16 << 16).view(np.float32))


def test_predicted_bytes_are_those_of_the_file(built, artifacts):
    shapes = Tensors(built.folder).shapes
    f32 = artifacts["f32"].stat().st_size
    for name, path in artifacts.items():
        difference = stored_bytes(shapes, FORMATS["f32"]) - stored_bytes(shapes, FORMATS[name])
        assert abs((f32 - path.stat().st_size) - difference) < 2_000, name


def test_formats_within_a_budget_come_best_first_and_empty_means_smaller_model():
    shapes = {"a": (1000, 320), "norm": (320,)}
    assert [one.name for one in formats_within(shapes, None)] == ["q8_0", "q5_0", "q4_0", "f16"]
    assert [one.name for one in formats_within(shapes, 0.23)] == ["q5_0", "q4_0"]
    assert formats_within(shapes, 0.01) == []
    assert [one.name for one in formats_within({"a": (10, 33)}, None)] == ["f16"]
    assert next_smaller("q8_0").name == "q6_k"
    assert next_smaller("q4_0") is None
    with pytest.raises(InputError, match='did you mean "q8_0"'):
        weight_format("q8")
