"""What of a preparation an ONNX file can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hone.deploy import preparing
from hone.deploy.onnx.kinds import KIND_BITS
from hone.deploy.weights import Prepared

LEAST_BLOCK = 16
STORE = preparing.Store(
    target="ONNX",
    kinds=KIND_BITS,
    coded={4: "int4", 8: "int8"},
    blocks=lambda block: block >= LEAST_BLOCK and block & (block - 1) == 0,
    blocks_said=f"powers of two from {LEAST_BLOCK}",
)


def preparation_problems(prepared: Prepared, shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Sentences on entries that cannot be honoured; see :func:`hone.deploy.preparing.preparation_problems`."""
    return preparing.preparation_problems(prepared, shapes, STORE)
