"""What a model file holds beside its weights: words and merges, hone's own keys, and a line for each tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hone.deploy.encoders import ARCHITECTURES as ENCODERS
from hone.deploy.gguf.tokenizer import gguf_tokenizer
from hone.deploy.hone_keys import hone_keys
from hone.deploy.weights import WeightFormat
from hone.errors import InputError
from hone.files import read_json

_GGUF_KEYS, _GGUF_TENSOR = 1_400, 62
"""Bytes of the header with a model's own keys, and of a tensor's line: name, shape, kind, place."""
_STRING, _NUMBER = 8, 4
"""Bytes before a text in GGUF, and of a number in a list."""
_ONNX_KEYS = 1_400
_ONNX_MATRIX = {True: 483, False: 220}
"""Bytes of the nodes that one matrix takes, in blocks (with scales) and without. Counted in files, as those below."""
_ONNX_VECTOR = {True: 130, False: 440}
"""Of the nodes that one vector takes: of an encoder mostly a bias, of a decoder a norm."""


def overhead_bytes(model: Path, shapes: Mapping[str, Sequence[int]], weights: WeightFormat) -> int:
    """Bytes of a model file of this format that are not weights; the tokenizer is inside a GGUF file only.

    Args:
        model: the model folder.
        shapes: of its tensors by name.
        weights: the format.
    """
    if not (model / "tokenizer.json").is_file():
        return _GGUF_KEYS  # refused elsewhere
    own = sum(len(key.encode()) + len(value.encode()) + 12 for key, value in hone_keys(model, weights.name).items())
    config = read_json(model / "config.json")
    if weights.runtime == "gguf":
        words = _words_bytes(model, int(config.get("vocab_size", 0)))
        return own + words + _GGUF_KEYS + _GGUF_TENSOR * len(shapes)
    matrices = sum(len(shape) > 1 for shape in shapes.values())
    vectors = len(shapes) - matrices
    matrix = _ONNX_MATRIX[weights.block > 1]
    return own + _ONNX_KEYS + matrix * matrices + _ONNX_VECTOR[config.get("model_type") in ENCODERS] * vectors


def _words_bytes(model: Path, rows: int) -> int:
    """Of the tokenizer in a GGUF file; 0 where it cannot be written, which is refused elsewhere."""
    try:
        found = gguf_tokenizer(model, rows)
    except InputError:
        return 0
    texts = sum(_STRING + len(one.encode()) for one in (*found.tokens, *found.merges, *found.own.values()))
    return texts + _NUMBER * (len(found.types) + len(found.scores))
