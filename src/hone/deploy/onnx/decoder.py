"""The graph of a Llama- or Qwen3-shaped decoder, with its cache of keys and values as inputs and outputs.

Names and layout are those that ONNX Runtime GenAI looks for (its ``genai_config.json``): ``input_ids`` (B, T),
``attention_mask`` (B, P + T) of ones and zeros on the right, ``past_key_values.N.key`` and ``.value``
(B, kv heads, P, head width), ``logits`` (B, T, V), ``present.N.key`` and ``.value`` (B, kv heads, P + T, head width).
One input more has a default and is left out by whoever does not know it: ``logits_from``, the first position of the T
whose logits are computed; a prompt's reader needs the last alone.

Operators: ONNX Runtime's ``GroupQueryAttention`` (rotary embedding inside), ``SkipSimplifiedLayerNormalization``,
``RotaryEmbedding`` where the former cannot rotate (https://github.com/microsoft/onnxruntime, docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hone.deploy.decoders import EMBEDDING, HEAD, LAST_NORM, DecoderShape
from hone.deploy.onnx.graph import CONTRIB, Graph
from hone.deploy.onnx.matrices import Matrices
from hone.task.soft_prompt import MASKED_LOGIT

LOGITS_FROM = "logits_from"
_INT32 = 6
_END = np.iinfo(np.int64).max


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """Values that every layer reads."""

    last_position: str
    """(B,) int32: tokens of each row so far, less one."""
    total: str
    """int32: tokens of the longest row so far."""
    cos: str
    sin: str
    """(positions, head width / 2)."""
    positions: str
    """(B, T) int64 where attention does not rotate by itself, else empty."""


def attention_problems(shape: DecoderShape) -> list[str]:
    """Sentences on what GroupQueryAttention cannot compute."""
    if shape.head_width % 8:
        return [f"heads of width {shape.head_width}; GroupQueryAttention takes multiples of 8"]
    return []


def add_decoder(graph: Graph, shape: DecoderShape, matrices: Matrices, soft: Sequence[int] = ()) -> None:
    """Add the whole decoder with its inputs and outputs.

    The logits of ``soft``, the last ids of the vocabulary, are :data:`~hone.task.soft_prompt.MASKED_LOGIT`.
    """
    ids = graph.input("input_ids", "INT64", ["batch_size", "sequence_length"])
    mask = graph.input("attention_mask", "INT64", ["batch_size", "total_sequence_length"])
    shared = _shared(graph, shape, ids, mask)
    stream = matrices.lookup(ids, EMBEDDING)
    normed = graph.add(
        "SimplifiedLayerNormalization",
        [stream, matrices.vector("model.layers.0.input_layernorm.weight")],
        axis=-1,
        epsilon=shape.rms_epsilon,
        stash_type=1,
    )
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}"
        attended = _attention(graph, shape, matrices, layer, normed, shared)
        normed, stream = _skip_norm(
            graph, shape, matrices, stream, attended, f"{prefix}.post_attention_layernorm.weight"
        )
        fed = _feed_forward(graph, matrices, prefix, normed)
        gain = f"model.layers.{layer + 1}.input_layernorm.weight" if layer + 1 < shape.layers else LAST_NORM
        normed, stream = _skip_norm(graph, shape, matrices, stream, fed, gain)
    start = graph.input(LOGITS_FROM, "INT64", [1], default=np.zeros(1, np.int64))
    wanted = graph.add("Slice", [normed, start, graph.whole(_END), graph.whole(1)])
    logits = matrices.linear(wanted, EMBEDDING if shape.tied else HEAD)
    if soft:
        kept = graph.add("Slice", [logits, graph.whole(0), graph.whole(shape.vocab - len(soft)), graph.whole(2)])
        masked = graph.constant("masked_logit", np.array(MASKED_LOGIT, np.float32))
        logits = graph.add("Pad", [kept, graph.whole(0, len(soft)), masked, graph.whole(2)])
    graph.add("Identity", [logits], ["logits"])
    graph.output("logits", "FLOAT", ["batch_size", "logits_length", shape.vocab])
    _declare_cache(graph, shape)


def _declare_cache(graph: Graph, shape: DecoderShape) -> None:
    for layer in range(shape.layers):
        for what in ("key", "value"):
            for add, name, length in (
                (graph.input, "past_key_values", "past_sequence_length"),
                (graph.output, "present", "total_sequence_length"),
            ):
                add(f"{name}.{layer}.{what}", "FLOAT", ["batch_size", shape.kv_heads, length, shape.head_width])


def _shared(graph: Graph, shape: DecoderShape, ids: str, mask: str) -> _Shared:
    lengths = graph.add("ReduceSum", [mask, graph.whole(1)], keepdims=0)
    last = graph.add("Sub", [lengths, graph.whole(1)])
    width = graph.add("Gather", [graph.add("Shape", [mask]), graph.constant("one", np.array(1, np.int64))])
    cos, sin = _rotary_tables(graph, shape)
    return _Shared(
        last_position=graph.add("Cast", [last], to=_INT32),
        total=graph.add("Cast", [width], to=_INT32),
        cos=cos,
        sin=sin,
        positions="" if _rotates_itself(shape) else _positions(graph, ids, lengths),
    )


def _rotates_itself(shape: DecoderShape) -> bool:
    """GroupQueryAttention rotates heads whose width is a multiple of 16."""
    return shape.head_width % 16 == 0


def _rotary_tables(graph: Graph, shape: DecoderShape) -> tuple[str, str]:
    """Cosines and sines by position, computed when a session is made rather than stored."""
    exponents = np.arange(0, shape.head_width, 2, dtype=np.float32) / np.float32(shape.head_width)
    frequencies = np.float32(1.0) / np.float32(shape.rope_base) ** exponents
    positions = np.arange(shape.context, dtype=np.int64)
    ends = [
        graph.constant(f"position_{name}", np.array(at, np.float32))
        for name, at in (("first", 0), ("end", len(positions)), ("step", 1))
    ]
    column = graph.add("Unsqueeze", [graph.add("Range", ends), graph.whole(1)])
    angles = graph.add("Mul", [column, graph.constant("rotary_frequencies", frequencies.astype(np.float32)[None])])
    return graph.add("Cos", [angles]), graph.add("Sin", [angles])


def _positions(graph: Graph, ids: str, lengths: str) -> str:
    """(B, T): the position of each new token in its row."""
    count = graph.add("Gather", [graph.add("Shape", [ids]), graph.constant("one", np.array(1, np.int64))])
    zero = graph.constant("zero", np.array(0, np.int64))
    # A row that is shorter than the pass begins at 0, like the others.
    before = graph.add("Max", [graph.add("Sub", [lengths, count]), zero])
    steps = graph.add("Range", [zero, count, graph.constant("one", np.array(1, np.int64))])
    return graph.add("Add", [graph.add("Unsqueeze", [before, graph.whole(1)]), steps])


def _attention(graph: Graph, shape: DecoderShape, matrices: Matrices, layer: int, normed: str, shared: _Shared) -> str:
    prefix = f"model.layers.{layer}.self_attn"
    query, key, value = (matrices.linear(normed, f"{prefix}.{part}_proj.weight") for part in "qkv")
    if shape.normed:
        query = _head_norm(graph, shape, matrices, query, f"{prefix}.q_norm.weight", shape.heads)
        key = _head_norm(graph, shape, matrices, key, f"{prefix}.k_norm.weight", shape.kv_heads)
    tables = [shared.cos, shared.sin]
    if shared.positions:
        query, key = (
            graph.add("RotaryEmbedding", [x, shared.positions, *tables], domain=CONTRIB) for x in (query, key)
        )
        tables = []
    past = [f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"]
    present = [f"present.{layer}.key", f"present.{layer}.value"]
    attended = graph.add(
        "GroupQueryAttention",
        [query, key, value, *past, shared.last_position, shared.total, *tables],
        [f"attended_{layer}", *present],
        domain=CONTRIB,
        num_heads=shape.heads,
        kv_num_heads=shape.kv_heads,
        do_rotary=int(not shared.positions),
        rotary_interleaved=0,
    )
    return matrices.linear(attended, f"{prefix}.o_proj.weight")


def _head_norm(graph: Graph, shape: DecoderShape, matrices: Matrices, x: str, gain: str, heads: int) -> str:
    """Each head of ``x`` (B, T, heads * width) normalised by itself."""
    apart = graph.add("Reshape", [x, graph.whole(0, 0, heads, shape.head_width)])
    normed = graph.add(
        "SimplifiedLayerNormalization",
        [apart, matrices.vector(gain)],
        axis=-1,
        epsilon=shape.rms_epsilon,
        stash_type=1,
    )
    return graph.add("Reshape", [normed, graph.whole(0, 0, heads * shape.head_width)])


def _skip_norm(
    graph: Graph, shape: DecoderShape, matrices: Matrices, stream: str, added: str, gain: str
) -> tuple[str, str]:
    """The normalised sum of both, and the sum."""
    total = f"{added}_added"
    normed = graph.add(
        "SkipSimplifiedLayerNormalization",
        [stream, added, matrices.vector(gain)],
        [f"{added}_normed", "", "", total],
        domain=CONTRIB,
        epsilon=shape.rms_epsilon,
    )
    return normed, total


def _feed_forward(graph: Graph, matrices: Matrices, prefix: str, normed: str) -> str:
    gate = matrices.linear(normed, f"{prefix}.mlp.gate_proj.weight")
    up = matrices.linear(normed, f"{prefix}.mlp.up_proj.weight")
    opened = graph.add("QuickGelu", [gate], domain=CONTRIB, alpha=1.0)  # x * sigmoid(x), which is SiLU
    return matrices.linear(graph.add("Mul", [opened, up]), f"{prefix}.mlp.down_proj.weight")
