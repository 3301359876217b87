"""BERT-shaped encoders in GGUF: names of tensors, keys, and where the head is.

llama.cpp computes the states of an encoder, and of heads the one over rows that reads BERT's pooler: a file with it has
the pooling ``rank`` and answers with the logits of its labels. Other heads (tags of tokens, classes by the mean of all
states) are one matrix, which llama.cpp has no place for: it travels as a text under ``hone.head``, and the session
multiplies the states by it. Where the model gives one vector for a text, its pooling is llama.cpp's own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.encoders import EncoderShape, encoder_shape, with_vectors
from hone.deploy.gguf.layout import Layout, Value
from hone.deploy.tensors import Tensors
from hone.errors import FailedError

NO_POOLING, MEAN, CLS, RANK = 0, 1, 2, 4
"""llama.cpp's kinds of pooling (``llama_pooling_type``): a state per token, one of a row (two ways), its logits."""
_POOLINGS = {None: NO_POOLING, "mean": MEAN, "cls": CLS}
CLASSIFIER = "classifier"
_EMBEDDINGS = {
    "word_embeddings.weight": "token_embd.weight",
    "position_embeddings.weight": "position_embd.weight",
    "token_type_embeddings.weight": "token_types.weight",
    "LayerNorm.weight": "token_embd_norm.weight",
    "LayerNorm.bias": "token_embd_norm.bias",
}
_PER_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A linear head that hone computes from the states: ``logits = states @ weight.T + bias``."""

    pooling: str
    """``tokens``: a line of logits for each; ``mean``: one for the mean of all states."""
    weight: NDArray[np.float32]
    """(labels, width)."""
    bias: NDArray[np.float32]
    """(labels,)."""

    def to_text(self) -> str:
        """JSON with the numbers as base64 of little-endian float32."""
        packed = {name: _packed(getattr(self, name)) for name in ("weight", "bias")}
        return json.dumps({"pooling": self.pooling, "labels": len(self.bias), **packed}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Head:
        """Read what :meth:`to_text` wrote.

        Raises:
            FailedError: when it is damaged.
        """
        try:
            data = json.loads(text)
            weight, bias = (np.frombuffer(base64.b64decode(data[name]), dtype="<f4") for name in ("weight", "bias"))
            return cls(pooling=data["pooling"], weight=weight.reshape(int(data["labels"]), -1), bias=bias)
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError(f"the artifact's head (hone.head) is damaged: {error}; export it again") from error


def encoder_layout(
    config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], folder: Path | None = None
) -> Layout:
    """The layout of a configuration without :func:`hone.deploy.encoders.encoder_problems`.

    ``folder`` is the model folder, which says whether the model gives one vector for a text.
    """
    shape = encoder_shape(config, shapes)
    shape = shape if folder is None else with_vectors(shape, folder)
    ranks = shape.head == "rows" and shape.pooled
    keys: dict[str, Value] = {
        "context_length": shape.context,
        "embedding_length": shape.hidden,
        "block_count": shape.layers,
        "feed_forward_length": shape.ffn,
        "attention.head_count": shape.heads,
        "attention.layer_norm_epsilon": shape.epsilon,
        "attention.causal": False,
        "pooling_type": RANK if ranks else _POOLINGS[shape.vectors],
        "vocab_size": shape.vocab,
    }
    if ranks:
        keys["classifier.output_labels"] = labels = _labels(config, shapes)
        # llama.cpp's server reads as many figures of a row as this says, else as many as a state has.
        keys["embedding_length_out"] = len(labels)
    return Layout(
        architecture="bert",
        names=_names(shape),
        keys=keys,
        # A row stands between two marks; whoever tokenizes by llama.cpp alone gets them too.
        tokenizer_keys={"token_type_count": shape.types, "add_bos_token": True, "add_eos_token": True},
        beside=() if ranks or shape.head == "none" else (f"{CLASSIFIER}.weight", f"{CLASSIFIER}.bias"),
        idle=sorted(shape.idle(shapes)),
    )


def head_keys(config: Mapping[str, Any], layout: Layout, tensors: Tensors) -> dict[str, str]:
    """The head as ``hone.head``, where llama.cpp has no place for it."""
    if not layout.beside:
        return {}
    weight, bias = (tensors.read(name) for name in layout.beside)
    pooling = "tokens" if encoder_shape(config, tensors.shapes).head == "tokens" else "mean"
    return {"hone.head": Head(pooling=pooling, weight=weight, bias=bias).to_text()}


def _labels(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Names of the head's outputs, in order; their number is what llama.cpp goes by."""
    count = shapes.get(f"{CLASSIFIER}.bias", (0,))[0]
    names = config.get("id2label") or {}
    return [str(names.get(str(at), names.get(at, f"LABEL_{at}"))) for at in range(count)]


def _names(shape: EncoderShape) -> dict[str, str]:
    """Names of the tensors that llama.cpp reads."""
    names = {f"{shape.prefix}embeddings.{ours}": theirs for ours, theirs in _EMBEDDINGS.items()}
    for layer in range(shape.layers):
        for ours, theirs in _PER_LAYER.items():
            for part in ("weight", "bias"):
                names[f"{shape.prefix}encoder.layer.{layer}.{ours}.{part}"] = f"blk.{layer}.{theirs}.{part}"
    if shape.head == "rows" and shape.pooled:
        for part in ("weight", "bias"):
            names[f"{shape.prefix}pooler.dense.{part}"] = f"cls.{part}"
            names[f"{CLASSIFIER}.{part}"] = f"cls.output.{part}"
    return names


def _packed(values: NDArray[np.float32]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")
