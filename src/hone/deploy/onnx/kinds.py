"""Which matrix is stored how in an ONNX file of a weight format, and what that takes: known before one is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hone.deploy.weights import KEPT_IN_FLOATS, Prepared

KIND_BITS = {"fp32": 32.0, "fp16": 16.0, "int8": 8.5, "int4": 4.5}
"""Bits per weight by kind, the 16-bit scales of blocks of 32 included."""
KIND_BLOCK = {"fp32": 1, "fp16": 1, "int8": 32, "int4": 32}


def matrix_kinds(shapes: Mapping[str, Sequence[int]], weights: str) -> dict[str, str]:
    """The kind of every tensor of a model folder in this format; vectors (biases, norms) stay in 32 bits.

    A tied embedding is stored once. Nothing is stored a second time in another kind.
    """
    return {name: _kind(name, weights) if len(shape) == 2 else "fp32" for name, shape in shapes.items()}


def _kind(name: str, weights: str) -> str:
    if KIND_BLOCK[weights] == 1 or not name.endswith(KEPT_IN_FLOATS):
        return weights
    # The last matrix of a head decides by itself; tables are small, and 16 bits lose nothing of theirs.
    return "fp32" if name.endswith("classifier.weight") else "fp16"


def stored_kinds(shapes: Mapping[str, Sequence[int]], weights: str, prepared: Prepared) -> dict[str, str]:
    """:func:`matrix_kinds` with what was prepared: codes say their bits, an entry its own kind."""
    coded = {name: f"int{codes.bits}" for name, codes in prepared.codes.items()}
    return {**matrix_kinds(shapes, weights), **prepared.kinds, **coded}
