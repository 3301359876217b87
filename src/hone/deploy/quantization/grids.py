"""Symmetric grids of 4 and 8 bits: a block of weights shares a scale, and a weight is its scale times a small integer.

These are the blocks of GGUF's Q4_0 and Q8_0 (32 weights) and of ONNX Runtime's MatMulNBits (16 to 128) without zero
points. :func:`nearest`
rounds as llama.cpp does, so that what is written equals what its own tool would write. :func:`searched` chooses the
scale by weighted least squares instead, as llama.cpp does where it is given an importance matrix (``make_qx_quants``).

numpy alone: a worker without torch packs with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hone.deploy.weights import GROUPS, USUAL_GROUP, Codes, int_kind
from hone.errors import InputError

Floats = NDArray[np.float32]

BLOCK = USUAL_GROUP
LIMITS = {4: (-8, 7), 8: (-127, 127)}
"""Lowest and highest code by bits."""


class Grid(NamedTuple):
    """A symmetric grid."""

    bits: int
    block: int
    """Weights that share a scale."""


GRIDS = {
    "q4_0": Grid(4, BLOCK),
    "q8_0": Grid(8, BLOCK),
    **{int_kind(bits, group): Grid(bits, group) for bits in LIMITS for group in GROUPS},
}
"""Of the weight formats, and kinds of a matrix, that have such a grid."""
AT_ONCE = 1 << 17
"""Weights that are searched together: half a MB, of which a core's own cache holds some."""
SMALLEST = np.finfo(np.float32).tiny
"""A scale below has no inverse in float32, and is zero in float16: the whole block is."""
STRETCHES = tuple(0.1 * step for step in range(-9, 10))
"""The largest weight of a block is put so far beyond the last code, in codes; llama.cpp's."""


def grid_of(name: str) -> Grid:
    """The grid of a weight format, or kind of a matrix, that has one.

    Raises:
        InputError: for a format without one.
    """
    if name not in GRIDS:
        raise InputError(f"weights {name} are no symmetric grid of 4 or 8 bits; these are: {', '.join(sorted(GRIDS))}")
    return GRIDS[name]


def nearest(matrix: Floats, bits: int, block: int = BLOCK) -> Codes:
    """Round to nearest, bit for bit as llama.cpp and the ``gguf`` package do.

    Of 4 bits the weight of largest magnitude gets code -8, whatever its sign; of 8 bits it gets 127 or -127.

    Args:
        matrix: (rows, columns) float32.
        bits: 4 or 8.
        block: weights to a scale; divides the columns.
    """
    blocks = _blocks(matrix, block)
    scale = _plain_scale(blocks, bits)
    return _codes_of(_plain_codes(blocks, scale, bits), scale.astype(np.float16), matrix.shape, bits, block)


def searched(matrix: Floats, bits: int, importance: NDArray[np.floating] | None = None, block: int = BLOCK) -> Codes:
    """Round so that the weighted squared error of each block is small, and never larger than by :func:`nearest`.

    Args:
        matrix: (rows, columns) float32.
        bits: 4 or 8.
        importance: (columns,) or (rows, columns) what a squared error counts there; the same everywhere by default.
        block: weights to a scale; divides the columns.
    """
    blocks = _blocks(matrix, block)
    counts = np.ones(matrix.shape[-1], np.float32) if importance is None else np.asarray(importance, np.float32)
    weights = _blocks(np.ascontiguousarray(np.broadcast_to(counts, matrix.shape)), block)
    codes, scales = np.empty_like(blocks), np.empty((len(blocks), 1), np.float16)
    for part in _parts(len(blocks), AT_ONCE // block):
        codes[part], scales[part] = _search(blocks[part], weights[part], bits)
    return _codes_of(codes, scales, matrix.shape, bits, block)


def recognised(matrix: Floats, bits: int, block: int = BLOCK) -> Codes | None:
    """The codes that stand for exactly these values, whatever their scales are; None where there are none.

    A block's scale is its largest weight over some code: each code is tried, and one that fits all weights is as good
    as another, because it stands for the same values.
    """
    x = _blocks(matrix, block)
    low, high = LIMITS[bits]
    largest = np.take_along_axis(x, np.abs(x).argmax(-1, keepdims=True), -1)
    codes, scales = np.zeros_like(x), np.zeros((len(x), 1), np.float16)
    open_blocks = np.flatnonzero(largest[:, 0])
    for code in (*range(low, 0), *range(high, 0, -1)):
        if not len(open_blocks):
            break
        left = x[open_blocks]
        scale = (largest[open_blocks] / np.float32(code)).astype(np.float16)
        tried = np.clip(np.rint(left * _inverse(scale.astype(np.float32))), low, high)
        fits = (tried * scale.astype(np.float32) == left).all(-1)
        codes[open_blocks[fits]], scales[open_blocks[fits]] = tried[fits], scale[fits]
        open_blocks = open_blocks[~fits]
    return None if len(open_blocks) else _codes_of(codes, scales, matrix.shape, bits, block)


def values_of(codes: Codes) -> Floats:
    """(rows, columns) the weights that the codes stand for, in float32 as every runtime multiplies them."""
    rows, columns = codes.codes.shape
    blocks = codes.codes.reshape(rows, -1, codes.block).astype(np.float32)
    found: Floats = (blocks * codes.scales.astype(np.float32)[:, :, None]).reshape(rows, columns)
    return found


def _search(x: Floats, weights: Floats, bits: int) -> tuple[Floats, NDArray[np.float16]]:
    """Codes (n, block) and scales (n, 1) of blocks."""
    plain = _plain_scale(x, bits)
    plain_codes, plain_scale = _plain_codes(x, plain, bits), plain.astype(np.float16)
    largest = np.take_along_axis(x, np.abs(x).argmax(-1, keepdims=True), -1)
    inverse = _inverse(largest)[:, 0]
    # The weights of a block stand below each other: sums over a block are sums of long rows.
    x_, weights_ = np.ascontiguousarray(x.T), np.ascontiguousarray(weights.T)
    weighted = weights_ * x_
    low, high = LIMITS[bits]
    best, best_scale, most = np.zeros_like(x_), np.zeros(len(x), np.float16), np.full(len(x), -np.inf, np.float32)
    # The largest weight may lie on either end, which differ in 4 bits by one code.
    for end in (low, high) if -low != high else (high,):
        for stretch in STRETCHES:
            wide = end - stretch if end < 0 else end + stretch
            codes = _rounded(x_, inverse * np.float32(wide), low, high)
            up, down = _sums(weighted, weights_, codes)
            codes = _rounded(x_, _inverse(_ratio(up, down)), low, high)
            up, down = _sums(weighted, weights_, codes)
            found = _ratio(up, down).astype(np.float16)
            scale = found.astype(np.float32)
            # What the squared error is less than that of zeros.
            gain = scale * (2 * up - scale * down)
            better = gain > most
            most = np.where(better, gain, most)
            best_scale = np.where(better, found, best_scale)
            np.copyto(best, codes, where=better)
    codes, scales = np.ascontiguousarray(best.T), best_scale[:, None]
    # The sums are those of float32: the last word has the error itself.
    worse = _error(x, weights, codes, scales) >= _error(x, weights, plain_codes, plain_scale)
    return np.where(worse, plain_codes, codes), np.where(worse, plain_scale, scales)


def _rounded(x: Floats, inverse: Floats, low: int, high: int) -> Floats:
    """(block, n) codes of weights by the inverse scales (n,) of their blocks."""
    codes = x * inverse
    np.rint(codes, out=codes)
    return np.clip(codes, np.float32(low), np.float32(high), out=codes)


def _sums(weighted: Floats, weights: Floats, codes: Floats) -> tuple[Floats, Floats]:
    """(n,) of ``w x c`` and of ``w c c``: their ratio is the scale of least weighted squared error for given codes."""
    up = np.einsum("kn,kn->n", weighted, codes)
    return up, np.einsum("kn,kn->n", weights * codes, codes)


def _ratio(up: Floats, down: Floats) -> Floats:
    found: Floats = np.divide(up, down, out=np.zeros_like(up), where=down > 0)
    return found


def _error(x: Floats, weights: Floats, codes: Floats, scale: NDArray[np.float16]) -> Floats:
    """(n, 1) weighted squared error."""
    found: Floats = (weights * np.square(x - codes * scale.astype(np.float32))).sum(-1, keepdims=True)
    return found


def _inverse(scale: Floats) -> Floats:
    found: Floats = np.divide(np.float32(1.0), scale, out=np.zeros_like(scale), where=np.abs(scale) > SMALLEST)
    return found


def _plain_scale(x: Floats, bits: int) -> Floats:
    """(n, 1) the scale in float32 of which the codes are made; what is stored is its float16."""
    largest = np.take_along_axis(x, np.abs(x).argmax(-1, keepdims=True), -1)
    found: Floats = (np.abs(largest) / 127 if bits == 8 else largest / -8).astype(np.float32)
    return found


def _plain_codes(x: Floats, scale: Floats, bits: int) -> Floats:
    scaled = x * _inverse(scale)
    if bits == 8:
        # Halves go away from zero, as in C.
        whole = np.floor(np.abs(scaled))
        away: Floats = np.sign(scaled) * (whole + np.floor(2 * (np.abs(scaled) - whole)))
        return away
    found: Floats = np.clip(np.trunc(scaled + np.float32(8.5)), 0, 15) - np.float32(8)
    return found


def _blocks(matrix: Floats, block: int) -> Floats:
    if matrix.ndim != 2 or matrix.shape[-1] % block:
        raise InputError(f"a matrix of shape {matrix.shape} does not divide into blocks of {block} along its rows")
    return np.asarray(matrix, np.float32).reshape(-1, block)


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _codes_of(codes: Floats, scale: NDArray[np.float16], shape: tuple[int, ...], bits: int, block: int) -> Codes:
    return Codes(codes=codes.astype(np.int8).reshape(shape), scales=scale.reshape(shape[0], -1), bits=bits, block=block)
