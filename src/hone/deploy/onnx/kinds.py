"""Which matrix is stored how in an ONNX file of a weight format, and what that takes: known before one is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hone.deploy.weights import GROUPS, KEPT_IN_FLOATS, SCALE_BITS, Prepared, int_kind

CODED = {(bits, group): int_kind(bits, group) for bits in (8, 4) for group in GROUPS}
"""Bits of codes and weights that share a scale, and the kind that stores them so."""
CODED_AS = {kind: coded for coded, kind in CODED.items()}
KIND_BITS = {"fp32": 32.0, "fp16": 16.0, **{kind: bits + SCALE_BITS / group for (bits, group), kind in CODED.items()}}
"""Bits per weight by kind, the 16-bit scales of its groups included."""
KIND_BLOCK = {"fp32": 1, "fp16": 1, **{kind: group for (_, group), kind in CODED.items()}}


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
    """:func:`matrix_kinds` with what was prepared: codes say their own kind, and so does an entry."""
    coded = {name: CODED[codes.bits, codes.block] for name, codes in prepared.codes.items()}
    return {**matrix_kinds(shapes, weights), **prepared.kinds, **coded}
