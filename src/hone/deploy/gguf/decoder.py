"""Llama- and Qwen3-shaped decoders in GGUF: names of tensors, keys, and the rows of llama.cpp's rotary layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.decoders import decoder_shape
from hone.deploy.gguf.layout import Layout

_PER_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_QWEN3_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}


def decoder_layout(config: Mapping[str, Any]) -> Layout:
    """The layout of a configuration without :func:`hone.deploy.decoders.decoder_problems`."""
    shape = decoder_shape(config)
    # llama.cpp rotates Qwen3 in the half-split layout that Transformers has, and only Llama in the interleaved one.
    rotary = {"attn_q": shape.heads, "attn_k": shape.kv_heads} if shape.architecture == "llama" else {}
    return Layout(
        architecture=shape.architecture,
        names=tensor_names(config),
        keys={
            "context_length": shape.context,
            "embedding_length": shape.hidden,
            "block_count": shape.layers,
            "feed_forward_length": shape.ffn,
            "attention.head_count": shape.heads,
            "attention.head_count_kv": shape.kv_heads,
            "attention.key_length": shape.head_width,
            "attention.value_length": shape.head_width,
            "rope.dimension_count": shape.head_width,
            "rope.freq_base": shape.rope_base,
            "attention.layer_norm_rms_epsilon": shape.rms_epsilon,
            "vocab_size": shape.vocab,
        },
        rotary=rotary,
    )


def tensor_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Tensor names of a Transformers Llama or Qwen3 to their GGUF names; no output matrix where it is tied."""
    per_layer = {**_PER_LAYER, **(_QWEN3_NORMS if config.get("model_type") == "qwen3" else {})}
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if not config.get("tie_word_embeddings"):
        names["lm_head.weight"] = "output.weight"
    for layer in range(int(config["num_hidden_layers"])):
        for ours, theirs in per_layer.items():
            names[f"model.layers.{layer}.{ours}.weight"] = f"blk.{layer}.{theirs}.weight"
    return names


def rotary_rows(matrix: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of q or k from the half-split rotary layout of Transformers to the interleaved one of llama.cpp.

    (heads * d, in) -> (heads, 2, d/2, in) -> middle axes swapped -> (heads * d, in). Values, codes and scales alike.
    """
    rows, columns = matrix.shape
    return np.ascontiguousarray(
        matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )
