"""The graph of a BERT-shaped encoder with its head, if it has one.

Inputs ``input_ids``, ``attention_mask`` (ones, then zeros on the right) and ``token_type_ids`` (zeros), each
(B, T). Outputs ``last_hidden_state`` (B, T, H) and, with a head, ``logits``: (B, K) of rows or (B, T, K) of tokens.

Operators: ONNX Runtime's ``MultiHeadAttention``, ``SkipLayerNormalization`` and ``Gelu``
(https://github.com/microsoft/onnxruntime, docs/ContribOperators.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hone.deploy.onnx.graph import CONTRIB, Graph
from hone.deploy.onnx.matrices import Matrices

ARCHITECTURES = ("bert",)
Head = Literal["none", "rows", "tokens"]
_HEADS: dict[str, Head] = {
    "BertModel": "none",
    "BertForSequenceClassification": "rows",
    "BertForTokenClassification": "tokens",
}
_INT32 = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderGraph:
    """What the graph needs to know of an encoder."""

    layers: int
    heads: int
    context: int
    epsilon: float
    head: Head
    pooled: bool
    """A head over rows reads BERT's pooler over the first state; otherwise the mean of all states."""
    prefix: str
    """Of the encoder's own tensors: ``bert.`` under a head."""

    def tensors(self) -> list[str]:
        """Names of all tensors that are used."""
        parts = [f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")]
        norms = ["embeddings.LayerNorm"]
        linear = []
        for layer in range(self.layers):
            at = f"encoder.layer.{layer}"
            linear += [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
            linear += [f"{at}.attention.output.dense", f"{at}.intermediate.dense", f"{at}.output.dense"]
            norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
        linear += ["pooler.dense"] if self.pooled else []
        parts += [f"{name}.{what}" for name in [*linear, *norms] for what in ("weight", "bias")]
        found = [self.prefix + name for name in parts]
        return found if self.head == "none" else [*found, "classifier.weight", "classifier.bias"]


def encoder_graph(config: Mapping[str, Any], names: Sequence[str]) -> EncoderGraph:
    """What a ``config.json`` without :func:`encoder_problems` and the tensor names say."""
    head = _HEADS[_architecture(config)]
    return EncoderGraph(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        context=int(config["max_position_embeddings"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        head=head,
        pooled=head == "rows" and config.get("classifier_pooling") != "mean",
        prefix="bert." if any(name.startswith("bert.") for name in names) else "",
    )


def encoder_problems(config: Mapping[str, Any]) -> list[str]:
    """Sentences on what of this configuration the graph does not say."""
    problems = []
    architecture = _architecture(config)
    if architecture not in _HEADS:
        problems.append(f"{architecture or 'no architecture'}: encoders are exported to ONNX as {', '.join(_HEADS)}")
    if config.get("hidden_act", "gelu") != "gelu":
        problems.append(f'hidden_act "{config["hidden_act"]}"; gelu is exported')
    if (kind := config.get("position_embedding_type") or "absolute") != "absolute":
        problems.append(f'position_embedding_type "{kind}"; absolute is exported')
    if config.get("is_decoder") or config.get("add_cross_attention"):
        problems.append("is_decoder or add_cross_attention is true; an encoder reads from both sides")
    return problems


def unused_encoder_tensors(names: Iterable[str], graph: EncoderGraph) -> set[str]:
    """Tensors that a folder may carry and that change nothing: positions as numbers, a pooler that no head reads."""
    idle = {f"{graph.prefix}embeddings.position_ids"}
    if not graph.pooled:
        idle |= {f"{graph.prefix}pooler.dense.weight", f"{graph.prefix}pooler.dense.bias"}
    return idle & set(names)


def _architecture(config: Mapping[str, Any]) -> str:
    return str((config.get("architectures") or [""])[0])


def add_encoder(graph: Graph, encoder: EncoderGraph, matrices: Matrices, labels: int, width: int) -> None:
    """Add the whole encoder with its inputs and outputs.

    Args:
        graph: where to.
        encoder: see :class:`EncoderGraph`.
        matrices: of its model folder.
        labels: rows of the classifier; 0 without a head.
        width: of its states.
    """
    dims = ["batch_size", "sequence_length"]
    ids = graph.input("input_ids", "INT64", dims)
    mask = graph.input("attention_mask", "INT64", dims)
    types = graph.input("token_type_ids", "INT64", dims)
    states = _embedded(graph, encoder, matrices, ids, types)
    seen = graph.add("Cast", [mask], to=_INT32)
    for layer in range(encoder.layers):
        states = _layer(graph, encoder, matrices, f"{encoder.prefix}encoder.layer.{layer}", states, seen)
    graph.add("Identity", [states], ["last_hidden_state"])
    graph.output("last_hidden_state", "FLOAT", [*dims, width])
    if encoder.head == "none":
        return
    if encoder.head == "rows":
        states = _row_states(graph, encoder, matrices, states, mask)
    logits = matrices.linear(states, "classifier.weight", "classifier.bias")
    graph.add("Identity", [logits], ["logits"])
    graph.output("logits", "FLOAT", ["batch_size", labels] if encoder.head == "rows" else [*dims, labels])


def _embedded(graph: Graph, encoder: EncoderGraph, matrices: Matrices, ids: str, types: str) -> str:
    at = f"{encoder.prefix}embeddings"
    zero, one = graph.constant("zero", np.array(0, np.int64)), graph.constant("one", np.array(1, np.int64))
    count = graph.add("Gather", [graph.add("Shape", [ids]), one])
    places = graph.add("Unsqueeze", [graph.add("Range", [zero, count, one]), graph.whole(0)])
    words = matrices.lookup(ids, f"{at}.word_embeddings.weight")
    kinds = matrices.lookup(types, f"{at}.token_type_embeddings.weight")
    positions = matrices.lookup(places, f"{at}.position_embeddings.weight")
    total = graph.add("Add", [graph.add("Add", [words, kinds]), positions])
    gain, bias = (matrices.vector(f"{at}.LayerNorm.{what}") for what in ("weight", "bias"))
    return graph.add("LayerNormalization", [total, gain, bias], axis=-1, epsilon=encoder.epsilon)


def _layer(graph: Graph, encoder: EncoderGraph, matrices: Matrices, at: str, states: str, seen: str) -> str:
    parts = (f"{at}.attention.self.{name}" for name in ("query", "key", "value"))
    query, key, value = (matrices.linear(states, f"{part}.weight", f"{part}.bias") for part in parts)
    attended = graph.add("MultiHeadAttention", [query, key, value, "", seen], domain=CONTRIB, num_heads=encoder.heads)
    dense = f"{at}.attention.output.dense"
    states = _skip_norm(
        graph,
        encoder,
        matrices,
        matrices.linear(attended, f"{dense}.weight", f"{dense}.bias"),
        states,
        f"{at}.attention.output.LayerNorm",
    )
    inner = matrices.linear(states, f"{at}.intermediate.dense.weight", f"{at}.intermediate.dense.bias")
    opened = graph.add("Gelu", [inner], domain=CONTRIB)
    outer = matrices.linear(opened, f"{at}.output.dense.weight", f"{at}.output.dense.bias")
    return _skip_norm(graph, encoder, matrices, outer, states, f"{at}.output.LayerNorm")


def _skip_norm(graph: Graph, encoder: EncoderGraph, matrices: Matrices, added: str, states: str, norm: str) -> str:
    gain, bias = matrices.vector(f"{norm}.weight"), matrices.vector(f"{norm}.bias")
    return graph.add("SkipLayerNormalization", [added, states, gain, bias], domain=CONTRIB, epsilon=encoder.epsilon)


def _row_states(graph: Graph, encoder: EncoderGraph, matrices: Matrices, states: str, mask: str) -> str:
    """(B, H): what stands for each row."""
    if encoder.pooled:
        first = graph.add("Gather", [states, graph.constant("zero", np.array(0, np.int64))], axis=1)
        pooler = f"{encoder.prefix}pooler.dense"
        return graph.add("Tanh", [matrices.linear(first, f"{pooler}.weight", f"{pooler}.bias")])
    real = graph.add("Cast", [graph.add("Unsqueeze", [mask, graph.whole(2)])], to=1)
    total = graph.add("ReduceSum", [graph.add("Mul", [states, real]), graph.whole(1)], keepdims=0)
    return graph.add("Div", [total, graph.add("ReduceSum", [real, graph.whole(1)], keepdims=0)])
