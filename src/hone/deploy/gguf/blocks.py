"""Matrices as the bytes of a GGUF tensor: float, blocks of 32 weights, and super-blocks of 256.

Plain rounding of the blocks of 32 is that of the published ``gguf`` package. Where calibration says how much each
column matters, scales are searched (:mod:`hone.deploy.gguf.rounding`); K-quants are always searched, as llama.cpp does.
Matrices that lie on a grid already (:class:`hone.deploy.weights.Codes`) are packed as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.deploy.gguf.kquants import AFFINE_TOP, SUPER, Bytes, affine_blocks, six_blocks
from hone.deploy.gguf.rounding import TINY, Floats, inverse, plain_symmetric, symmetric
from hone.deploy.weights import Codes
from hone.errors import FailedError

CHUNK = 2**17
"""Weights that are rounded at a time: the arrays of a search over so many stay in a core's second-level cache."""
BLOCK = 32
MOST_HALF = float(np.finfo(np.float16).max)
LEAST_IMPORTANCE = 1e-4
"""Of the mean: a column that calibration never saw active still counts a little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Grid:
    """Codes of a block of 32: ``value = scale * code``."""

    bits: int
    bottom: int
    """The value of largest magnitude gets this code."""
    top: int


_GRIDS = {
    "q4_0": _Grid(bits=4, bottom=-8, top=7),
    "q5_0": _Grid(bits=5, bottom=-16, top=15),
    "q8_0": _Grid(bits=8, bottom=-127, top=127),
}


def encode(values: Floats, kind: str, importance: Floats | None = None) -> NDArray[Any]:
    """A matrix (rows, columns) as it is stored: float32, float16, or uint8 (rows, bytes of a row).

    Args:
        values: rows whose length divides by the kind's block.
        kind: ``f32``, ``f16``, ``q8_0``, ``q5_0``, ``q4_0``, ``q6_k``, ``q5_k`` or ``q4_k``.
        importance: (columns,) what an error in a column counts, such as the mean square of its inputs.

    Raises:
        FailedError: when a value or a scale is too large for 16 bits.
    """
    import gguf

    stored: NDArray[Any]
    _check_range(values, kind)
    if kind in ("f32", "f16") or (kind in _GRIDS and importance is None):
        stored = gguf.quants.quantize(np.ascontiguousarray(values), gguf.GGMLQuantizationType[kind.upper()])
        return stored
    size = SUPER if kind not in _GRIDS else BLOCK
    blocks = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, size)
    count = None if importance is None else _column_weights(importance).reshape(-1, size)
    parts = []
    for start in range(0, len(blocks), CHUNK // size):
        chunk = blocks[start : start + CHUNK // size]
        columns = None if count is None else count[np.arange(start, start + len(chunk)) % len(count)]
        parts.append(_packed(chunk, kind, columns))
    return np.concatenate(parts).reshape(len(values), -1)


def _check_range(values: Floats, kind: str) -> None:
    """Refuse what would become infinite."""
    most = {"f32": np.inf, "f16": MOST_HALF}.get(kind, MOST_HALF * (_GRIDS[kind].top if kind in _GRIDS else 1))
    largest = float(np.abs(values).max(initial=0))
    if largest > most:
        raise FailedError(
            f"holds values up to {largest:.3g}; {kind} says numbers up to {most:,.0f} (its scales have 16 bits)"
        )


def pack_codes(codes: Codes, kind: str) -> Bytes:
    """Ready codes as the bytes of ``q4_0`` or ``q8_0``, (rows, bytes of a row)."""
    return _pack(codes.codes.reshape(-1, BLOCK), codes.scales.reshape(-1), kind).reshape(len(codes.codes), -1)


def _packed(blocks: Floats, kind: str, columns: Floats | None) -> Bytes:
    """Bytes of some blocks; ``columns`` has the importance of each of their weights."""
    weights = _weights(blocks, kind, columns)
    if kind in AFFINE_TOP:
        return affine_blocks(blocks, weights, AFFINE_TOP[kind]).pack()
    if kind == "q6_k":
        return six_blocks(blocks, weights).pack()
    return _searched(blocks, weights, kind)


def _weights(blocks: Floats, kind: str, columns: Floats | None) -> Floats:
    """What a squared error counts, by llama.cpp's rules: large values more, and important columns more."""
    squares = blocks * blocks
    if columns is not None:
        mean = squares.mean(axis=1, keepdims=True)
        # Half the weight of a usual value is left for small ones in super-blocks, all of it in blocks of 32.
        found: Floats = columns * np.sqrt(mean * (2 if kind not in _GRIDS else 1) + squares)
    elif kind == "q6_k":
        found = squares
    else:
        groups = squares.reshape(len(blocks), -1, BLOCK)
        usual = np.sqrt(groups.mean(axis=2, keepdims=True))
        found = (usual + np.sqrt(groups)).reshape(blocks.shape)
    return found + TINY


def _column_weights(importance: Floats) -> Floats:
    """Importance around 1, never zero."""
    values = importance.astype(np.float64)
    mean = values.mean()
    shares = np.maximum(values / mean, LEAST_IMPORTANCE) if mean > 0 else np.ones_like(values)
    return shares.astype(np.float32)


def _searched(blocks: Floats, weights: Floats, kind: str) -> Bytes:
    """Blocks of 32 with the better of a searched and a plain scale each."""
    grid = _GRIDS[kind]
    x, counts = np.ascontiguousarray(blocks.T), np.ascontiguousarray(weights.T)
    best: tuple[Floats, Floats, NDArray[np.float16]] | None = None
    for scales in (symmetric(x, counts, grid.bottom, grid.top), plain_symmetric(x, grid.bottom)):
        half = scales.astype(np.float16)
        steps = half.astype(np.float32)
        codes = np.rint(x * inverse(steps))
        np.clip(codes, grid.bottom, grid.top, out=codes)
        difference = codes * steps - x
        error = np.einsum("kn,kn,kn->n", difference, difference, counts)
        if best is None:
            best = codes, error, half
        else:
            worse = best[1] > error
            best = np.where(worse, codes, best[0]), np.minimum(error, best[1]), np.where(worse, half, best[2])
    assert best is not None
    return _pack(best[0].T.astype(np.int8), best[2], kind)


def _pack(codes: NDArray[np.int8], scales: NDArray[np.float16], kind: str) -> Bytes:
    """(N, 32) codes and (N,) scales as (N, bytes)."""
    grid = _GRIDS[kind]
    head = np.ascontiguousarray(scales).view(np.uint8).reshape(-1, 2)
    if kind == "q8_0":
        return np.concatenate([head, np.ascontiguousarray(codes).view(np.uint8)], axis=1)
    raised = (codes - np.int8(grid.bottom)).view(np.uint8)
    low = raised & 15
    nibbles = low[:, :16] | (low[:, 16:] << 4)
    if kind == "q4_0":
        return np.concatenate([head, nibbles], axis=1)
    fifth = np.packbits(raised >> 4, axis=1, bitorder="little")
    return np.concatenate([head, fifth, nibbles], axis=1)
