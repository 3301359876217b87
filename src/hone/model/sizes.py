"""What a model is made of, as estimates need it: every tensor's shape, from a preset or from an opened base.

Nothing here needs torch: a preset's tensors follow from its shape, a base's stand in the headers of its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from math import prod
from typing import TYPE_CHECKING, Any, cast

from hone.model.encoders import EncoderShape, Head, encoder_parameters
from hone.model.presets import Shape
from hone.model.weights import ENCODERS, Use

if TYPE_CHECKING:
    from hone.model.base import Base

Tensors = Mapping[str, tuple[int, ...]]
HEADS = re.compile(
    r"(^|\.)(cls|classifier|lm_head|vocab_transform|vocab_layer_norm|vocab_projector|pre_classifier|pooler|qa_outputs"
    r"|discriminator_predictions|generator_predictions|predictions|head)\."
)
"""What stands on an encoder's trunk: another head takes its place."""
BUFFERS = re.compile(r"(position_ids|inv_freq|\.attn\.bias|\.attn\.masked_bias)$")
"""Tensors that older files hold and nobody trains."""
LOOKUPS = re.compile(r"(embed|wte|wpe|shared\.)")
"""Matrices that are looked up and do not multiply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Values per token that one layer keeps for its backward pass, counted with hooks on saved tensors."""

    widths: float
    """Times the width of the residual stream."""
    ffn_widths: float
    """Times the width of the feed-forward."""
    dropout_widths: float = 0.0
    """Times the width more, with dropout."""
    passing_widths: float = 3.0
    passing_ffn_widths: float = 1.0
    """What the backward pass of one layer makes at most while it runs, times both widths."""


KEPT = {
    # Both norms and what they read, queries, keys and values, the attention's output; gate, its activation, the other
    # branch, their product. Qwen3 has two more norms.
    "llama": Kept(widths=11, ffn_widths=4),
    "qwen3": Kept(widths=15, ffn_widths=4),
    "encoder": Kept(widths=8, ffn_widths=2, dropout_widths=2.5),
    "gpt2": Kept(widths=8, ffn_widths=5, dropout_widths=2.5),
}
KEPT_FUSED = {
    # Attention keeps its input, queries, keys and values as one product, the turned queries and keys, and its output;
    # the feed-forward its input and gate with up. Qwen3 keeps normalised queries and keys on top. While it goes back,
    # the feed-forward makes the gate's activation, three gradients of width f, and five rows of width h; the last norm
    # and the head add two.
    "llama": Kept(widths=8, ffn_widths=2, passing_widths=7, passing_ffn_widths=4),
    "qwen3": Kept(widths=10, ffn_widths=2, passing_widths=7, passing_ffn_widths=4),
}
"""The same of the fused pass (:mod:`hone.model.fused`), by the model types that have it."""
DROPOUT_MATRICES = 2.5
"""T x T matrices of a head that are kept with dropout inside the attention, which is then not computed in blocks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A model's tensors and the widths that estimates are made of."""

    tensors: Tensors
    """Shape of each trained tensor by name, tied ones once."""
    hidden: int
    ffn: int
    layers: int
    heads: int
    outputs: int
    """Logits of one supervised token: the vocabulary, or the classes."""
    tied: bool
    """Whether the output matrix is the embedding."""
    kept: Kept
    how: str
    """Where the count is from, for people."""
    fused: Kept | None = None
    """What the fused pass of a CPU keeps instead, where the model's kind has one."""
    per_row: bool = False
    """Whether logits are made once a row instead of once a supervised token."""
    dropout: float = 0.0

    @property
    def parameters(self) -> int:
        """Exact number of parameters."""
        return count(self.tensors.values())

    @property
    def output_values(self) -> int:
        """Values of the output matrix."""
        return self.outputs * self.hidden

    @property
    def matrices(self) -> int:
        """Parameters that multiply each token: all matrices, the output one included, without lookups."""
        tied = self.output_values if self.tied else 0
        return tied + count(
            shape for name, shape in self.tensors.items() if len(shape) > 1 and not LOOKUPS.search(name)
        )

    def is_hidden_matrix(self, name: str) -> bool:
        """Whether a tensor is a matrix inside the layers or an encoder's head: what Muon moves."""
        output = name.endswith("lm_head.weight")
        return len(self.tensors[name]) == 2 and not LOOKUPS.search(name) and not output

    def without_pooler(self) -> Size:
        """The same without BERT's layer over the first state, which mean pooling takes out."""
        kept = {name: shape for name, shape in self.tensors.items() if ".pooler." not in name}
        left_out = self.parameters - count(kept.values())
        if not left_out:
            return self
        return replace(self, tensors=kept, how=f"{self.how}, without the pooler's {left_out:,}: the mean pools")

    def trained(self, frozen: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Tensors that no pattern of ``frozen`` names (fnmatch)."""
        patterns = list(frozen)
        return {
            name: shape
            for name, shape in self.tensors.items()
            if not any(fnmatch(name, pattern) for pattern in patterns)
        }


def count(shapes: Iterable[tuple[int, ...]]) -> int:
    """Values in tensors of these shapes."""
    return sum(prod(shape) for shape in shapes)


def size_of(
    model: Shape | EncoderShape | Base | Size, use: Use = "next-token", labels: int = 0, dropout: float | None = None
) -> Size:
    """The size of a preset's shape or of an opened base.

    Args:
        model: a shape, or a base (opened for its own use; ``use``, ``labels`` and ``dropout`` are then its own).
        use: of an encoder's shape, which decides its head.
        labels: classes of that head.
        dropout: that replaces the config's.
    """
    if isinstance(model, Size):
        return model
    if isinstance(model, Shape):
        return _of_decoder(model, dropout or 0.0)
    if isinstance(model, EncoderShape):
        return _of_encoder(model, use, labels, dropout or 0.0)
    return _of_base(model)


def _of_decoder(shape: Shape, dropout: float) -> Size:
    h, f, kv, wide = shape.hidden, shape.ffn, shape.kv_heads * shape.head_width, shape.head_width
    parts: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (h, h),
        "self_attn.k_proj": (kv, h),
        "self_attn.v_proj": (kv, h),
        "self_attn.o_proj": (h, h),
        "mlp.gate_proj": (f, h),
        "mlp.up_proj": (f, h),
        "mlp.down_proj": (h, f),
        "input_layernorm": (h,),
        "post_attention_layernorm": (h,),
    }
    if shape.arch == "qwen3":
        parts |= {"self_attn.q_norm": (wide,), "self_attn.k_norm": (wide,)}
    tensors = {"model.embed_tokens.weight": (shape.vocab, h), "model.norm.weight": (h,)}
    tensors |= _layers("model.layers.{}.{}.weight", shape.layers, parts)
    if not shape.tied:
        tensors["lm_head.weight"] = (shape.vocab, h)
    tied = "V*h" if shape.tied else "2*V*h"
    gains = "2h + 2h/heads" if shape.arch == "qwen3" else "2h"
    return Size(
        tensors=tensors,
        hidden=h,
        ffn=f,
        layers=shape.layers,
        heads=shape.heads,
        outputs=shape.vocab,
        tied=shape.tied,
        kept=KEPT[shape.arch],
        fused=KEPT_FUSED[shape.arch],
        how=f"{tied} + L*(2*h*h + 2*h*kv + 3*h*f + {gains}) + h with h {h}, f {f}, L {shape.layers}, "
        f"V {shape.vocab:,}, kv {kv}",
        dropout=dropout,
    )


def _of_encoder(shape: EncoderShape, use: Use, labels: int, dropout: float) -> Size:
    h, f = shape.hidden, shape.ffn
    squares = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    parts: dict[str, tuple[int, ...]] = dict.fromkeys(squares, (h, h))
    parts |= {"intermediate.dense": (f, h), "output.dense": (h, f)}
    biases = {name: sizes[:1] for name, sizes in parts.items()}
    norms = {"attention.output.LayerNorm": (h,), "output.LayerNorm": (h,)}
    words = {"word": shape.vocab, "position": shape.context, "token_type": shape.types}
    tensors: dict[str, tuple[int, ...]] = {
        f"bert.embeddings.{name}_embeddings.weight": (rows, h) for name, rows in words.items()
    }
    tensors |= {f"bert.embeddings.LayerNorm.{kind}": (h,) for kind in ("weight", "bias")}
    tensors |= _layers("bert.encoder.layer.{}.{}.weight", shape.layers, {**parts, **norms})
    tensors |= _layers("bert.encoder.layer.{}.{}.bias", shape.layers, {**biases, **norms})
    head = _head("bert", use, h, shape.vocab, labels)
    tensors |= head
    total = count(tensors.values())
    assert use in ("next-token", "embed") or total == encoder_parameters(shape, cast("Head", use), labels)
    return Size(
        tensors=tensors,
        hidden=h,
        ffn=f,
        layers=shape.layers,
        heads=shape.heads,
        outputs=shape.vocab if use == "masked-tokens" else labels,
        tied=use == "masked-tokens",
        kept=KEPT["encoder"],
        how=f"(V + P + {shape.types})*h + 2h + L*(4*(h*h + h) + 2*h*f + f + 5h) + head with h {h}, f {f}, "
        f"L {shape.layers}, V {shape.vocab:,}, P {shape.context}, head {count(head.values()):,}",
        per_row=use == "classify-sequence",
        dropout=dropout,
    )


def _layers(pattern: str, layers: int, parts: Tensors) -> dict[str, tuple[int, ...]]:
    return {pattern.format(layer, name): shape for layer in range(layers) for name, shape in parts.items()}


def _head(model_type: str, use: Use, h: int, vocab: int, labels: int) -> dict[str, tuple[int, ...]]:
    """Tensors of an encoder's head: a transform and a bias per word, or a square and the classes."""
    if use == "masked-tokens":
        norm = {f"cls.predictions.transform.LayerNorm.{kind}": (h,) for kind in ("weight", "bias")}
        dense = {"cls.predictions.transform.dense.weight": (h, h), "cls.predictions.transform.dense.bias": (h,)}
        return {**dense, **norm, "cls.predictions.bias": (vocab,)}
    if use == "embed":
        return {}
    square = {"weight": (h, h), "bias": (h,)} if use == "classify-sequence" else {}
    place = f"{model_type}.pooler.dense" if model_type == "bert" else "classifier.dense"
    classes: dict[str, tuple[int, ...]] = {"classifier.weight": (labels, h), "classifier.bias": (labels,)}
    return {**{f"{place}.{kind}": shape for kind, shape in square.items()}, **classes}


def _of_base(base: Base) -> Size:
    config, use, labels = base.config, base.opening.use, len(base.opening.labels)
    encoder = str(config.get("model_type")) in ENCODERS
    hidden = _first(config, "hidden_size", "n_embd", "d_model", "dim")
    vocab = max(base.vocabulary.size, int(config.get("vocab_size") or 0))
    tied = use == "masked-tokens" if encoder else bool(config.get("tie_word_embeddings", True))
    tensors = dict(_without(base.source.shapes, encoder=encoder, tied=tied))
    ffn = _first(config, "intermediate_size", "n_inner", "hidden_dim", "d_ff", default=4 * hidden)
    rows = _rows(tensors, base.vocabulary.before, vocab)
    if encoder:
        tensors |= _head(str(config["model_type"]), use, hidden, vocab, labels)
    dropout = max((float(value) for key, value in config.items() if "drop" in key and _is_number(value)), default=0.0)
    new = f", {rows:,} new rows" if rows else ""
    return Size(
        tensors=tensors,
        hidden=hidden,
        ffn=ffn,
        layers=_first(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers"),
        heads=_first(config, "num_attention_heads", "n_head", "num_heads", "n_heads"),
        outputs=labels if encoder and use != "masked-tokens" else vocab,
        tied=tied,
        kept=_kept(tensors, encoder=encoder),
        fused=KEPT_FUSED.get(str(config.get("model_type"))),
        how=f"counted in the files of {base.reference}{new}{', with the head' if encoder else ''}",
        per_row=use == "classify-sequence",
        dropout=base.opening.dropout if base.opening.dropout is not None else dropout,
    )


def _without(shapes: Tensors, *, encoder: bool, tied: bool) -> Iterable[tuple[str, tuple[int, ...]]]:
    """The trained tensors of a base: no buffers, no second copy of a tied matrix, no head that is replaced."""
    for name, shape in shapes.items():
        second = tied and not encoder and name.endswith("lm_head.weight")
        if not BUFFERS.search(name) and not second and not (encoder and HEADS.search(name)):
            yield name, shape


def _rows(tensors: dict[str, tuple[int, ...]], before: int, vocab: int) -> int:
    """Give embedding and output matrix the rows of new tokens; the number of rows that are new."""
    from hone.model.vocabulary import EMBEDDINGS

    added = 0
    for name, shape in tensors.items():
        if name.endswith((*EMBEDDINGS, "lm_head.weight")) and len(shape) == 2 and before <= shape[0] < vocab:
            added = vocab - shape[0]
            tensors[name] = (vocab, shape[1])
    return added


def _kept(tensors: Tensors, *, encoder: bool) -> Kept:
    if encoder:
        return KEPT["encoder"]
    if any(name.endswith("q_norm.weight") for name in tensors):
        return KEPT["qwen3"]
    gated = any("gate" in name for name in tensors)
    return KEPT["llama"] if gated else KEPT["gpt2"]


def _first(config: Mapping[str, Any], *names: str, default: int = 0) -> int:
    return next((int(config[name]) for name in names if _is_number(config.get(name))), default)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
