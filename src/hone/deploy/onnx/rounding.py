"""Matrices to blocks of 4 or 8 bits and to their bytes in an ONNX file.

A block is 32 weights of a row, or another group, with one scale of 16 bits: value = scale * code, symmetric
(:mod:`hone.deploy.quantization.grids`), no zero point in the file: ``MatMulNBits`` and ``GatherBlockQuantized`` of ONNX
Runtime's contrib operators take the middle of the unsigned range for it. Codes of 4 bits are packed two to a byte, the
first in the low half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hone.deploy.quantization.grids import BLOCK, nearest, searched
from hone.deploy.weights import Codes
from hone.errors import InputError

HALF_LARGEST = 65504.0
"""Largest finite value of 16 bits."""


def round_to_blocks(
    name: str,
    values: NDArray[np.float32],
    bits: int,
    importance: NDArray[np.float32] | None = None,
    block: int = BLOCK,
) -> Codes:
    """Codes of a matrix (rows, columns): nearest, or of the least squared error weighted by ``importance`` (columns,).

    Raises:
        InputError: when a scale is over what 16 bits hold, with the tensor's name.
    """
    with np.errstate(over="ignore"):
        codes = nearest(values, bits, block) if importance is None else searched(values, bits, importance, block)
    if not np.isfinite(codes.scales).all():
        largest = float(np.abs(values).max())
        raise InputError(
            f"tensor {name}: values up to {largest:.4g} need a scale over the {HALF_LARGEST:,.0f} that 16 bits hold"
        )
    return codes


def packed(codes: Codes) -> NDArray[np.uint8]:
    """Bytes of codes (rows, columns * bits / 8), as both operators read them."""
    unsigned = (codes.codes.astype(np.int16) + (1 << (codes.bits - 1))).astype(np.uint8)
    if codes.bits == 8:
        return unsigned
    pairs: NDArray[np.uint8] = unsigned[:, 0::2] | (unsigned[:, 1::2] << 4).astype(np.uint8)
    return pairs
