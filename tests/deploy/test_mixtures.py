"""Which tensor is stored how: llama.cpp's mixtures, rows that do not divide, and what calibration prepared."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hone.deploy.decoders import decoder_shape
from hone.deploy.gguf.decoder import rotary_rows, tensor_names
from hone.deploy.gguf.mixtures import matrix_kinds
from hone.deploy.gguf.writing import export, refusals
from hone.deploy.tensors import Tensors
from hone.deploy.weights import FORMATS, Codes, Prepared, formats_within, next_smaller, stored_bytes
from hone.errors import InputError

gguf = pytest.importorskip("gguf")
VOCAB = 300


def config_of(hidden: int = 256, ffn: int = 512, layers: int = 4, *, tied: bool = True) -> dict:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "vocab_size": VOCAB,
        "tie_word_embeddings": tied,
    }


def shapes_of(config: dict) -> dict[str, tuple[int, ...]]:
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    narrow = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    known = {
        "q_proj": (hidden, hidden),
        "k_proj": (narrow, hidden),
        "v_proj": (narrow, hidden),
        "o_proj": (hidden, hidden),
        "gate_proj": (ffn, hidden),
        "up_proj": (ffn, hidden),
        "down_proj": (hidden, ffn),
        "embed_tokens": (VOCAB, hidden),
        "lm_head": (VOCAB, hidden),
    }
    return {name: known.get(name.split(".")[-2], (hidden,)) for name in decoder_shape(config).tensors()}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of width 256 whose rows divide by 256, with a byte-level tokenizer; made without torch."""
    from hone.data.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("wide")
    config = config_of()
    random = np.random.default_rng(0)
    save_file(
        {
            name: random.normal(0, 0.05, shape).astype(np.float32) if len(shape) == 2 else np.ones(shape, np.float32)
            for name, shape in shapes_of(config).items()
        },
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(config))
    train_tokenizer(["a song by a band"], VOCAB).save(folder)
    return folder


def kinds_in(path: Path) -> dict[str, str]:
    return {one.name: one.tensor_type.name.lower() for one in gguf.GGUFReader(path).tensors}


def values_in(path: Path, name: str) -> np.ndarray:
    one = next(one for one in gguf.GGUFReader(path).tensors if one.name == name)
    return gguf.quants.dequantize(one.data, one.tensor_type)


def test_layers_with_more_bits_are_those_of_llama_cpp():
    # use_more_bits of llama-quant.cpp, by hand: of 8 layers i < 1, i >= 7, and (i - 1) % 3 == 2.
    kinds = matrix_kinds(shapes_of(config_of(layers=8)), "q4_k_m")
    of = {part: [kinds[f"model.layers.{at}.{part}.weight"] for at in range(8)] for part in ("mlp.down_proj",)}
    assert [at for at, kind in enumerate(of["mlp.down_proj"]) if kind == "q6_k"] == [0, 3, 6, 7]
    # Of 30: the first 3, the last 4 (7 * 30 // 8 = 26), and 3 + 2, 5, 8, ...
    kinds = matrix_kinds(shapes_of(config_of(layers=30)), "q5_k_m")
    more = [at for at in range(30) if kinds[f"model.layers.{at}.self_attn.v_proj.weight"] == "q6_k"]
    assert more == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    assert {kinds[f"model.layers.{at}.self_attn.q_proj.weight"] for at in range(30)} == {"q5_k"}
    assert kinds["model.norm.weight"] == "f32"


def test_the_output_matrix_has_six_bits_and_the_embedding_only_where_it_is_tied():
    tied, untied = (matrix_kinds(shapes_of(config_of(tied=tied)), "q4_k_m") for tied in (True, False))
    assert tied["model.embed_tokens.weight"] == "q6_k"
    assert (untied["model.embed_tokens.weight"], untied["lm_head.weight"]) == ("q4_k", "q6_k")


@pytest.mark.parametrize("name", ["q6_k", "q5_k_m", "q4_k_m"])
def test_the_file_holds_the_kinds_that_were_foretold_and_the_bytes_that_were_counted(wide, tmp_path, name):
    out, plain = (export(wide, weights, tmp_path / f"{weights}.gguf") for weights in (name, "f16"))
    config, shapes = json.loads((wide / "config.json").read_text()), Tensors(wide).shapes
    names = tensor_names(config)
    assert kinds_in(out) == {names[ours]: kind for ours, kind in matrix_kinds(shapes, name).items()}
    counted = stored_bytes(shapes, FORMATS["f16"]) - stored_bytes(shapes, FORMATS[name])
    assert abs((plain.stat().st_size - out.stat().st_size) - counted) < 2_000
    original = Tensors(wide).read("model.layers.1.mlp.up_proj.weight")
    error = np.abs(values_in(out, "blk.1.ffn_up.weight") - original).mean() / np.abs(original).mean()
    assert error < {"q6_k": 0.02, "q5_k_m": 0.04, "q4_k_m": 0.08}[name]


@pytest.mark.parametrize("name", ["q6_k", "q5_k_m", "q4_k_m"])
def test_llama_cpp_opens_them_and_stays_within_the_formats_gate(wide, tmp_path, name):
    pytest.importorskip("xllamacpp")
    from hone.deploy.runtime import runtime

    sessions = [
        runtime("gguf").open(export(wide, weights, tmp_path / f"{weights}.gguf"), 1, 64) for weights in (name, "f32")
    ]
    rounded, exact = (one.logprobs([[5, 60, 7, 8, 9]])[0].astype(np.float64) for one in sessions)
    assert (np.exp(exact) * (exact - rounded)).sum(-1).mean() < FORMATS[name].bounds.kld_mean
    for one in sessions:
        one.close()


def test_rows_that_do_not_divide_are_refused_once_for_each_width_and_all_are_counted(tmp_path):
    narrow = config_of(hidden=128, ffn=352)
    said = refusals(narrow, shapes_of(narrow), "q4_k_m")
    matrices = [name for name, shape in shapes_of(narrow).items() if len(shape) == 2]
    others = [int(found[1]) for one in said if (found := re.search(r"nor do those of (\d+) more", one))]
    assert sum(others) + len(said) == len(matrices) == 4 * 7 + 1
    assert len(said) == len({re.split("; use", one.split(": ", 1)[1])[0] for one in said}) <= 4
    assert any("weight: rows of 352 weights do not divide by the 256 of q4_k, a part of q4_k_m" in one for one in said)
    assert refusals(narrow, shapes_of(narrow), "q8_0") == refusals(narrow, shapes_of(narrow), "q4_0") == []
    stories = config_of(hidden=64, ffn=172, layers=5)
    assert refusals(stories, shapes_of(stories), "f32") == []
    said = refusals(stories, shapes_of(stories), "q8_0")
    (sentence,) = said
    assert sentence == (
        "model.layers.0.mlp.down_proj.weight: rows of 172 weights do not divide by the 32 of q8_0 (nor do those of 4 "
        "more); use f16, or a width and a feed-forward width that do"
    )


def test_formats_come_by_their_bits_and_only_where_rows_divide():
    shapes = shapes_of(config_of())
    names = [one.name for one in formats_within(shapes, None)]
    assert names == ["q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "q4_0", "f16"]
    assert [next_smaller(name).name for name in ("q8_0", "q6_k", "q5_k_m", "q4_k_m")] == [
        "q6_k",
        "q5_k_m",
        "q5_0",
        "q4_0",
    ]
    assert stored_bytes(shapes, FORMATS["q4_0"]) < stored_bytes(shapes, FORMATS["q4_k_m"])


def test_what_was_prepared_is_honoured(wide, tmp_path):
    query, value, up = (
        f"model.layers.1.{part}.weight" for part in ("self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj")
    )
    random = np.random.default_rng(1)
    codes = Codes(
        codes=random.integers(-8, 8, (256, 256)).astype(np.int8),
        scales=random.normal(0, 0.02, (256, 8)).astype(np.float16),
        bits=4,
        block=32,
    )
    importance = {up: np.where(np.arange(256) < 16, 100.0, 1.0).astype(np.float32)}
    prepared = Prepared(kinds={value: "q8_0"}, codes={query: codes}, importance=importance, how="gptq", rows=12)
    out = export(wide, "q4_0", tmp_path / "prepared.gguf", prepared)
    plain = export(wide, "q4_0", tmp_path / "plain.gguf")
    kinds = kinds_in(out)
    assert (kinds["blk.1.attn_v.weight"], kinds["blk.1.attn_q.weight"]) == ("q8_0", "q4_0")
    grid = np.repeat(codes.scales.astype(np.float32), 32, axis=1) * codes.codes
    np.testing.assert_array_equal(values_in(out, "blk.1.attn_q.weight"), rotary_rows(grid, 4))
    original = Tensors(wide).read(up)
    errors = [((values_in(path, "blk.1.ffn_up.weight") - original) ** 2)[:, :16].sum() for path in (out, plain)]
    assert errors[0] < errors[1]
    keys = {name: one.contents() for name, one in gguf.GGUFReader(out).fields.items()}
    assert (keys["hone.prepared"], keys["hone.prepared_rows"]) == ("gptq", "12")
    assert json.loads(keys["hone.kinds"]) == {value: "q8_0"}
    assert "hone.prepared" not in gguf.GGUFReader(plain).fields


def test_what_cannot_be_honoured_is_refused_all_at_once(wide, tmp_path):
    up, down, gate = (f"model.layers.0.mlp.{part}_proj.weight" for part in ("up", "down", "gate"))
    ready = Codes(codes=np.zeros((512, 256), np.int8), scales=np.zeros((512, 8), np.float16), bits=4, block=32)
    wrong = Codes(codes=np.full((256, 512), 9, np.int8), scales=np.zeros((256, 8), np.float16), bits=4, block=32)
    groups = Codes(codes=np.zeros((512, 256), np.int8), scales=np.zeros((512, 4), np.float16), bits=4, block=64)
    prepared = Prepared(
        kinds={up: "q8_0", "model.norm.weight": "q8_0", "model.layers.1.mlp.up_proj.weight": "int4"},
        codes={up: ready, down: wrong, gate: groups},
        importance={"nowhere": np.ones(3, np.float32), "model.embed_tokens.weight": np.ones(3, np.float32)},
    )
    with pytest.raises(InputError) as caught:
        export(wide, "q4_0", tmp_path / "no.gguf", prepared)
    said = "\n".join(caught.value.problems)
    for part in (
        "model.norm.weight is no matrix of this model",
        "nowhere is no matrix of this model",
        'model.layers.1.mlp.up_proj.weight as "int4"; GGUF stores f32, f16, q8_0',
        f"{up} has codes of 4 bits and shall be stored as q8_0",
        f"{down} has scales (256, 8); expected (256, 16)",
        f"{down} has codes 0 to 9; 4 bits go -8 to 7",
        f"{gate} has codes in blocks of 64",
        "importance of model.embed_tokens.weight has shape (3,); expected (256,)",
    ):
        assert part in said
    assert not (tmp_path / "no.gguf").exists()
    narrow = config_of(hidden=64, ffn=192)
    (said,) = refusals(narrow, shapes_of(narrow), "q8_0", prepared=Prepared(kinds={up: "q6_k"}))
    assert said.startswith(f"{up}: rows of 64 weights do not divide by the 256 of q6_k, a part of q8_0")
