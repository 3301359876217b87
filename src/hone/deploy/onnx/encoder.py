"""The graph of a BERT-shaped encoder with its head, if it has one.

Inputs ``input_ids``, ``attention_mask`` (ones, then zeros on the right) and ``token_type_ids`` (zeros), each
(B, T). Outputs ``last_hidden_state`` (B, T, H) and, with a head, ``logits``: (B, K) of rows, (B, T, K) of tokens, or
of words (B, T, V);
of a model that gives one vector for a text ``sentence_embedding`` (B, H), divided by its length where the model does.

Operators: ONNX Runtime's ``MultiHeadAttention``, ``SkipLayerNormalization`` and ``Gelu``
(https://github.com/microsoft/onnxruntime, docs/ContribOperators.md).
"""

from __future__ import annotations

import numpy as np

from hone.deploy.encoders import WORDS, EncoderShape
from hone.deploy.onnx.graph import CONTRIB, Graph
from hone.deploy.onnx.matrices import Matrices
from hone.task.embedding import LEAST_LENGTH

_INT32 = 6
VECTORS = "sentence_embedding"
"""The output of vectors, called as in other exports of such models."""


def add_encoder(graph: Graph, encoder: EncoderShape, matrices: Matrices, labels: int) -> None:
    """Add the whole encoder with its inputs and outputs.

    Args:
        graph: where to.
        encoder: its sizes and its head.
        matrices: of its model folder.
        labels: outputs of the head; 0 without one.
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
    graph.output("last_hidden_state", "FLOAT", [*dims, encoder.hidden])
    if encoder.vectors is not None:
        graph.add("Identity", [_vectors(graph, encoder, states, mask)], [VECTORS])
        graph.output(VECTORS, "FLOAT", ["batch_size", encoder.hidden])
    if encoder.head == "none":
        return
    if encoder.head == "rows":
        states = _row_states(graph, encoder, matrices, states, mask)
    if encoder.head == "words":
        logits = _words(graph, encoder, matrices, states)
    else:
        logits = matrices.linear(states, "classifier.weight", "classifier.bias")
    graph.add("Identity", [logits], ["logits"])
    graph.output("logits", "FLOAT", ["batch_size", labels] if encoder.head == "rows" else [*dims, labels])


def _embedded(graph: Graph, encoder: EncoderShape, matrices: Matrices, ids: str, types: str) -> str:
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


def _layer(graph: Graph, encoder: EncoderShape, matrices: Matrices, at: str, states: str, seen: str) -> str:
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


def _skip_norm(graph: Graph, encoder: EncoderShape, matrices: Matrices, added: str, states: str, norm: str) -> str:
    gain, bias = matrices.vector(f"{norm}.weight"), matrices.vector(f"{norm}.bias")
    return graph.add("SkipLayerNormalization", [added, states, gain, bias], domain=CONTRIB, epsilon=encoder.epsilon)


def _row_states(graph: Graph, encoder: EncoderShape, matrices: Matrices, states: str, mask: str) -> str:
    """(B, H): what stands for each row."""
    if encoder.pooled:
        pooler = f"{encoder.prefix}pooler.dense"
        first = _first(graph, states)
        return graph.add("Tanh", [matrices.linear(first, f"{pooler}.weight", f"{pooler}.bias")])
    return _mean(graph, states, mask)


def _words(graph: Graph, encoder: EncoderShape, matrices: Matrices, states: str) -> str:
    """(B, T, V): which word stands at each place; the last matrix is the embedding."""
    at = f"{WORDS}.transform"
    opened = graph.add("Gelu", [matrices.linear(states, f"{at}.dense.weight", f"{at}.dense.bias")], domain=CONTRIB)
    gain, bias = (matrices.vector(f"{at}.LayerNorm.{what}") for what in ("weight", "bias"))
    normed = graph.add("LayerNormalization", [opened, gain, bias], axis=-1, epsilon=encoder.epsilon)
    return matrices.linear(normed, f"{encoder.prefix}embeddings.word_embeddings.weight", f"{WORDS}.bias")


def _vectors(graph: Graph, encoder: EncoderShape, states: str, mask: str) -> str:
    """(B, H): one vector for each text."""
    found = _first(graph, states) if encoder.vectors == "cls" else _mean(graph, states, mask)
    if not encoder.normalised:
        return found
    length = graph.add("ReduceL2", [found, graph.whole(1)], keepdims=1)
    least = graph.constant("least_length", np.array(LEAST_LENGTH, np.float32))
    return graph.add("Div", [found, graph.add("Max", [length, least])])


def _first(graph: Graph, states: str) -> str:
    return graph.add("Gather", [states, graph.constant("zero", np.array(0, np.int64))], axis=1)


def _mean(graph: Graph, states: str, mask: str) -> str:
    """The mean of the states that the mask shows."""
    real = graph.add("Cast", [graph.add("Unsqueeze", [mask, graph.whole(2)])], to=1)
    total = graph.add("ReduceSum", [graph.add("Mul", [states, real]), graph.whole(1)], keepdims=0)
    return graph.add("Div", [total, graph.add("ReduceSum", [real, graph.whole(1)], keepdims=0)])
