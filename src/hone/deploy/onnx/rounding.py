"""Matrices to blocks of 4 or 8 bits and to their bytes in an ONNX file.

A block is 32 weights of a row with one scale of 16 bits: value = scale * code, symmetric, no zero point in the file
(``MatMulNBits`` and ``GatherBlockQuantized`` of ONNX Runtime's contrib operators take the middle of the unsigned range
for it). Codes of 4 bits are packed two to a byte, the first in the low half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hone.deploy.weights import Codes
from hone.errors import InputError

BLOCK = 32
HALF_LARGEST = 65504.0
"""Largest finite value of 16 bits."""
_CANDIDATES = 24
"""Scales that a weighted search tries for each block and sign of its largest weight."""
_LOW = {4: -8, 8: -127}
_HIGH = {4: 7, 8: 127}


def round_to_blocks(
    name: str, values: NDArray[np.float32], bits: int, importance: NDArray[np.float32] | None = None
) -> Codes:
    """The nearest codes of a matrix (rows, columns); plain, or weighted.

    Plain: the largest weight of a block sits on the end of the grid, at -8 (4 bits, which reaches one step further on
    that side) or at 127. With ``importance`` (columns,), mean squares of the matrix's input, the scale is searched for
    that gives the smallest weighted squared error: several steps around the plain one and both signs, each fitted to
    its codes by least squares.

    Raises:
        InputError: when a scale is over what 16 bits hold, with the tensor's name.
    """
    blocks = values.reshape(values.shape[0], -1, BLOCK)
    plain = _plain_scale(blocks, bits)
    weights = None if importance is None else np.asarray(importance, np.float32).reshape(1, -1, BLOCK)
    scales = _stored(name, plain if weights is None else _searched(blocks, plain, bits, weights))
    return Codes(codes=_codes(blocks, scales, bits).reshape(values.shape), scales=scales, bits=bits, block=BLOCK)


def _plain_scale(blocks: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """(rows, blocks): the largest weight of each block over the end of the grid that it is put on."""
    at = np.abs(blocks).argmax(-1, keepdims=True)
    largest = np.take_along_axis(blocks, at, -1)[..., 0]
    scale: NDArray[np.float32] = (largest / -8.0 if bits == 4 else np.abs(largest) / 127.0).astype(np.float32)
    return scale


def _codes(blocks: NDArray[np.float32], scales: NDArray[np.floating], bits: int) -> NDArray[np.int8]:
    wide = scales.astype(np.float32)[..., None]
    # A block of zeros, or one too small for a scale of 16 bits, has codes 0.
    ratio = np.divide(blocks, wide, out=np.zeros_like(blocks), where=wide != 0)
    return np.clip(np.rint(ratio), _LOW[bits], _HIGH[bits]).astype(np.int8)


def _searched(
    blocks: NDArray[np.float32], plain: NDArray[np.float32], bits: int, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(rows, blocks): the best scale of each block, judged as it will be stored."""
    # A column that calibration never saw still counts a little, or its weights could be rounded to anything.
    weights = weights + 1e-6 * max(float(weights.mean()), 1e-30)
    best = plain.copy()
    least = _error(blocks, plain, bits, weights)
    factors = np.linspace(0.7, 1.15, _CANDIDATES, dtype=np.float32)
    for factor in np.concatenate([factors, -factors] if bits == 4 else [factors]):
        codes = _codes(blocks, plain * factor, bits).astype(np.float32)
        squares = (weights * codes * codes).sum(-1)
        fitted = np.divide((weights * codes * blocks).sum(-1), squares, out=plain * factor, where=squares > 0)
        error = _error(blocks, fitted, bits, weights)
        better = error < least
        best[better], least[better] = fitted[better], error[better]
    return best


def _error(
    blocks: NDArray[np.float32], scales: NDArray[np.float32], bits: int, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        stored = scales.astype(np.float16).astype(np.float32)
    stored = np.where(np.isfinite(stored), stored, 0.0).astype(np.float32)
    miss = blocks - _codes(blocks, stored, bits) * stored[..., None]
    error: NDArray[np.float32] = (weights * miss * miss).sum(-1)
    return error


def _stored(name: str, scales: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = float(np.abs(scales).max(initial=0.0))
    if largest > HALF_LARGEST:
        raise InputError(f"tensor {name}: a scale of {largest:.4g} is over the {HALF_LARGEST:,.0f} that 16 bits hold")
    return scales.astype(np.float16)


def packed(codes: Codes) -> NDArray[np.uint8]:
    """Bytes of codes (rows, columns * bits / 8), as both operators read them."""
    unsigned = (codes.codes.astype(np.int16) + (1 << (codes.bits - 1))).astype(np.uint8)
    if codes.bits == 8:
        return unsigned
    pairs: NDArray[np.uint8] = unsigned[:, 0::2] | (unsigned[:, 1::2] << 4).astype(np.uint8)
    return pairs


def values_of(codes: Codes) -> NDArray[np.float32]:
    """The matrix (rows, columns) that the codes stand for."""
    rows, columns = codes.codes.shape
    blocks = codes.codes.reshape(rows, -1, codes.block).astype(np.float32)
    wide: NDArray[np.float32] = (blocks * codes.scales.astype(np.float32)[..., None]).reshape(rows, columns)
    return wide
