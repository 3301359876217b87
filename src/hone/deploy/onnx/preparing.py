"""What of a preparation an ONNX file can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hone.deploy import preparing
from hone.deploy.onnx.kinds import CODED, KIND_BITS
from hone.deploy.weights import Prepared

STORE = preparing.Store(target="ONNX", kinds=KIND_BITS, coded=CODED)


def preparation_problems(prepared: Prepared, shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Sentences on entries that cannot be honoured; see :func:`hone.deploy.preparing.preparation_problems`."""
    return preparing.preparation_problems(prepared, shapes, STORE)
