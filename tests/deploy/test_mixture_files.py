"""What a mixture was measured with is what its file says, to the bit, as readers that are not ours find it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from hone.deploy.gguf.decoder import rotary_rows, tensor_names
from hone.deploy.quantization import offered
from hone.deploy.runtime import runtime
from hone.deploy.weights import Prepared, weight_format
from hone.files import read_json
from hone.model.folder import save_model_folder

Q, K, V, OUT = (f"model.layers.0.self_attn.{one}_proj.weight" for one in "qkvo")
GATE, UP, DOWN = (f"model.layers.0.mlp.{one}_proj.weight" for one in ("gate", "up", "down"))
EMBEDDING = "model.embed_tokens.weight"
HEADS = {Q: 4, K: 2}
SMALL = {V: "q5_0", OUT: "q8_0", DOWN: "f16", EMBEDDING: "q8_0", K: "q5_0"}
MIXED: dict[str, dict[str, str]] = {
    "q4_0": {**SMALL, Q: "q6_k", GATE: "q4_k"},
    "q4_k_m": {**SMALL, Q: "q8_0", GATE: "q5_k", UP: "q6_k"},
    "int4": {V: "int8", OUT: "fp16", EMBEDDING: "int8", Q: "fp32"},
    "int4-g64": {V: "int8", K: "int4-g16", DOWN: "fp16"},
}


@pytest.fixture(scope="module")
def model(built: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A layer of width 256, so that K kinds divide its rows; its inputs are far from alike."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=built.tokenizer.vocab_size,
        hidden_size=256,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=256,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        initializer_range=0.08,
    )
    module = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, values in module.named_parameters():
            if name.endswith("layernorm.weight"):
                values.copy_(torch.linspace(0.1, 3.0, len(values)))
    folder = tmp_path_factory.mktemp("mixture") / "model"
    meta = {"task": "toy", "recipe": "0" * 12, "base": {"name": "scratch"}}
    save_model_folder(folder, module, built.tokenizer, built.renderer, [], meta)
    return folder, module


def measured(built: Any, model: Any, weights: str, how: str, monkeypatch: Any) -> tuple[Prepared, dict[str, Any]]:
    """What an export is handed, and the values that its divergence was measured with."""
    seen: list[Mapping[str, Any]] = []
    divergence = offered.divergence

    def watched(original: Any, module: Any, batches: Any, values: Mapping[str, Any]) -> Any:
        seen.append({name: np.array(one) for name, one in values.items()})
        return divergence(original, module, batches, values)

    monkeypatch.setattr(offered, "divergence", watched)
    rows, kinds = built.examples, MIXED[weights]
    if how == "none":  # a choice that `prepare` does not have to measure
        offered.offers(model[1], weights, rows[:12], rows[12:16], hows=("none",), kinds=kinds)
        return offered.prepare(model[0], weights, [], how="none", kinds=kinds), dict(seen[0])
    found = offered.prepare(model[0], weights, rows[:12], judged=rows[12:16], how=how, kinds=kinds, module=model[1])
    assert len(seen) == 1
    return found, dict(seen[0])


def in_gguf(file: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Every matrix by our name, dequantized by the gguf package; rows of q and k as llama.cpp's rotary layout is."""
    tensors = {one.name: one for one in gguf.GGUFReader(file).tensors}
    return {
        ours: gguf.quants.dequantize(tensors[theirs].data, tensors[theirs].tensor_type)
        for ours, theirs in tensor_names(config).items()
        if len(tensors[theirs].shape) == 2
    }


def in_onnx(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Every matrix, by what ONNX Runtime's operators say of its bytes: unsigned, the middle of the range is zero."""
    onnx = pytest.importorskip("onnx")
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(file).graph.initializer}
    found = {}
    for name, (rows, columns) in shapes.items():
        if name in stored:
            plain = stored[name].astype(np.float32)
            found[name] = plain if plain.shape == (rows, columns) and name == EMBEDDING else plain.T
            continue
        unsigned, scales = stored[f"{name}.codes"].reshape(rows, -1), stored[f"{name}.scales"].reshape(rows, -1)
        if unsigned.shape[1] == columns // 2:
            unsigned = np.stack([unsigned & 15, unsigned >> 4], axis=-1).reshape(rows, columns)
            middle = 8
        else:
            middle = 128
        wide = np.repeat(scales.astype(np.float32), columns // scales.shape[1], axis=1)
        found[name] = (unsigned.astype(np.float32) - middle) * wide
    return found


@pytest.mark.parametrize(("weights", "how"), [
    ("q4_0", "none"), ("q4_0", "importance"), ("q4_0", "gptq"), ("q4_k_m", "importance"), ("q4_k_m", "none"),
    ("int4", "importance"), ("int4", "gptq"), ("int4-g64", "importance"),
])  # fmt: skip
def test_the_file_says_what_was_measured(
    built: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, how: str
) -> None:
    folder, module = model
    prepared, values = measured(built, model, weights, how, monkeypatch)
    chosen = runtime(weight_format(weights).runtime)
    out = tmp_path / "model.gguf" if chosen.name == "gguf" else tmp_path
    chosen.export(folder, weights, out, prepared)
    shapes = {name: tuple(one.shape) for name, one in module.named_parameters() if one.ndim == 2}
    assert values.keys() == shapes.keys(), "every matrix was measured as it is stored"
    if chosen.name == "gguf":
        found = in_gguf(out, read_json(folder / "config.json"))
        values = {name: rotary_rows(one, HEADS[name]) if name in HEADS else one for name, one in values.items()}
    else:
        found = in_onnx(out / "model.onnx", shapes)
    assert found.keys() == values.keys()
    for name, one in values.items():
        assert np.array_equal(found[name], one), name
    original = dict(module.named_parameters())[UP].detach().numpy()
    assert not np.array_equal(values[UP], original), "something was rounded"


def test_importance_changes_what_a_kind_without_a_grid_of_codes_says(
    built: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the law above would hold of files that never saw it."""
    prepared, looked = measured(built, model, "q4_k_m", "importance", monkeypatch)
    assert {GATE, UP, V} <= prepared.importance.keys()
    _, plain = measured(built, model, "q4_k_m", "none", monkeypatch)
    assert all(not np.array_equal(looked[name], plain[name]) for name in (GATE, UP, V))
