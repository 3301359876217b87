"""What a Transformers Llama or Qwen3 is, as its ``config.json`` and tensor names say it; shared by all writers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ARCHITECTURES = ("llama", "qwen3")
EMBEDDING, LAST_NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
LAYER_MATRICES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
LAYER_NORMS = ("input_layernorm", "post_attention_layernorm")
QUERY_KEY_NORMS = ("self_attn.q_norm", "self_attn.k_norm")


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderShape:
    """Sizes of a decoder, with the defaults that Transformers fills in."""

    architecture: str
    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    ffn: int
    context: int
    """Positions that the model was built for."""
    rope_base: float
    rms_epsilon: float
    tied: bool
    """Whether the output matrix is the embedding."""

    @property
    def normed(self) -> bool:
        """Queries and keys are normalised, as in Qwen3."""
        return self.architecture == "qwen3"

    def tensors(self) -> list[str]:
        """Names of all tensors in a model folder; no output matrix where it is tied."""
        parts = [*LAYER_NORMS, *LAYER_MATRICES, *(QUERY_KEY_NORMS if self.normed else ())]
        found = [EMBEDDING, *(f"model.layers.{at}.{part}.weight" for at in range(self.layers) for part in parts)]
        return [*found, LAST_NORM, *([] if self.tied else [HEAD])]


def decoder_shape(config: Mapping[str, Any]) -> DecoderShape:
    """The shape that a ``config.json`` without :func:`decoder_problems` says."""
    heads = int(config["num_attention_heads"])
    return DecoderShape(
        architecture=str(config["model_type"]),
        vocab=int(config["vocab_size"]),
        hidden=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_width=int(config.get("head_dim") or config["hidden_size"] // heads),
        ffn=int(config["intermediate_size"]),
        context=int(config["max_position_embeddings"]),
        rope_base=rope(config)[1],
        rms_epsilon=float(config["rms_norm_eps"]),
        tied=bool(config.get("tie_word_embeddings")),
    )


def rope(config: Mapping[str, Any]) -> tuple[str, float]:
    """Kind and base of the rotary embedding, in the old and the new layout of the configuration."""
    new = config.get("rope_parameters") or {}
    old = config.get("rope_scaling") or {}
    kind = new.get("rope_type") or old.get("rope_type") or old.get("type") or "default"
    return str(kind), float(new.get("rope_theta") or config.get("rope_theta") or 10_000.0)


def decoder_problems(config: Mapping[str, Any], target: str) -> list[str]:
    """Sentences on what of this configuration the writers do not say; ``target`` is the format's name."""
    problems = []
    if config.get("model_type") not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        problems.append(f'model_type "{config.get("model_type")}" is not exported to {target}; these are: {known}')
    if config.get("use_sliding_window"):
        problems.append("use_sliding_window is true; only full attention is exported")
    if config.get("hidden_act", "silu") != "silu":
        problems.append(f'hidden_act "{config["hidden_act"]}"; silu is exported')
    for key in ("attention_bias", "mlp_bias"):
        if config.get(key):
            problems.append(f"{key} is true; models are exported without biases")
    kind = rope(config)[0]
    if kind != "default":
        problems.append(f'rope_type "{kind}" is not exported yet; default is')
    return problems


def tensor_problems(found: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Sentences on tensors that are missing, and on those that would be left out of the artifact in silence."""
    found, expected = set(found), list(expected)
    there, wanted = set(found), list(expected)
    problems = [f"tensor {name} is missing" for name in wanted if name not in there]
    # A tied model may carry the copy; rotary_emb of older Transformers is computed from the configuration.
    unknown = sorted(there - set(wanted) - {HEAD})
    return problems + [
        f"tensor {name} has no place in the architecture" for name in unknown if "rotary_emb" not in name
    ]
