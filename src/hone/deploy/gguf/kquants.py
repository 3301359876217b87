"""Q4_K, Q5_K and Q6_K: super-blocks of 256 weights whose groups have scales of few bits and one scale of 16 bits.

Layouts are those of ``ggml-common.h`` (``block_q4_K``, ``block_q5_K``, ``block_q6_K``); the published ``gguf`` package
reads them, and the tests hold this writer to it. A super-block never has a larger weighted error than the same layout
with scales by each group's extremes: both are made, and the better one is kept.

Shapes: ``S`` super-blocks, ``g`` groups in each, ``k`` weights in each group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hone.deploy.gguf.rounding import (
    Floats,
    affine,
    by_extremes,
    inverse,
    plain_affine,
    plain_symmetric,
    refit,
    shared_scale,
    symmetric,
)

Bytes = NDArray[np.uint8]
Share = Callable[[Floats, Floats, int, int], Floats]
"""Finds the scale that the groups of a super-block share: :func:`shared_scale` or :func:`by_extremes`."""

SUPER = 256
"""Weights in a super-block."""
AFFINE_TOP = {"q4_k": 15, "q5_k": 31}
SCALE_TOP = 63
"""Largest 6-bit scale or minimum of a group in Q4_K and Q5_K."""
CODE_BOTTOM, CODE_TOP = -32, 31
SCALE_BOTTOM = -128
REFITS = 1
"""How often scales and minima are fitted anew to the codes that came out of their rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AffineBlocks:
    """Q4_K or Q5_K: ``value = d * scale * code - dmin * minimum`` with 8 groups of 32."""

    d: NDArray[np.float16]
    """(S,)."""
    dmin: NDArray[np.float16]
    """(S,)."""
    scales: Bytes
    """(S, 8), 0 to 63."""
    minima: Bytes
    """(S, 8), 0 to 63."""
    codes: Bytes
    """(S, 8, 32), 0 to 15 or 31."""
    top: int

    def steps(self) -> tuple[Floats, Floats]:
        """(S, 8) step and minimum of each group, as a reader computes them."""
        steps: Floats = self.d.astype(np.float32)[:, None] * self.scales.astype(np.float32)
        lows: Floats = self.dmin.astype(np.float32)[:, None] * self.minima.astype(np.float32)
        return steps, lows

    def values(self) -> Floats:
        """(S, 256) what a reader gets."""
        steps, lows = self.steps()
        found: Floats = steps[..., None] * self.codes.astype(np.float32) - lows[..., None]
        return found.reshape(-1, SUPER)

    def pack(self) -> Bytes:
        """(S, 144 or 176) bytes."""
        halves = [self.d.view(np.uint8).reshape(-1, 2), self.dmin.view(np.uint8).reshape(-1, 2)]
        low = self.codes & 15
        nibbles = (low[:, 0::2] | (low[:, 1::2] << 4)).reshape(-1, 128)
        if self.top == AFFINE_TOP["q4_k"]:
            return np.concatenate([*halves, self._packed_scales(), nibbles], axis=1)
        # Bit i of byte j is the fifth bit of weight j of group i.
        fifth = np.bitwise_or.reduce((self.codes >> 4) << np.arange(8, dtype=np.uint8)[:, None], axis=1)
        return np.concatenate([*halves, self._packed_scales(), fifth, nibbles], axis=1)

    def _packed_scales(self) -> Bytes:
        """(S, 12): 6 bits each; groups 4 to 7 have their upper 2 bits beside groups 0 to 3."""
        scales, minima = self.scales, self.minima
        return np.concatenate(
            [
                scales[:, :4] | (scales[:, 4:] >> 4 << 6),
                minima[:, :4] | (minima[:, 4:] >> 4 << 6),
                (scales[:, 4:] & 15) | (minima[:, 4:] << 4),
            ],
            axis=1,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SixBlocks:
    """Q6_K: ``value = d * scale * code`` with 16 groups of 16."""

    d: NDArray[np.float16]
    """(S,)."""
    scales: NDArray[np.int8]
    """(S, 16)."""
    codes: NDArray[np.int8]
    """(S, 16, 16), -32 to 31."""

    def steps(self) -> Floats:
        """(S, 16) step of each group, as a reader computes it."""
        found: Floats = self.d.astype(np.float32)[:, None] * self.scales.astype(np.float32)
        return found

    def values(self) -> Floats:
        """(S, 256) what a reader gets."""
        found: Floats = self.steps()[..., None] * self.codes.astype(np.float32)
        return found.reshape(-1, SUPER)

    def pack(self) -> Bytes:
        """(S, 210) bytes."""
        # Two halves of 128 weights; in each four rows of 32, whose codes share bytes.
        rows = (self.codes + np.int8(-CODE_BOTTOM)).view(np.uint8).reshape(-1, 2, 4, 32)
        low, high = rows & 15, rows >> 4
        nibbles = (low[:, :, :2] | (low[:, :, 2:] << 4)).reshape(-1, 128)
        shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
        upper = np.bitwise_or.reduce(high << shifts, axis=2).reshape(-1, 64)
        parts = [nibbles, upper, self.scales.view(np.uint8), self.d.view(np.uint8).reshape(-1, 2)]
        return np.concatenate(parts, axis=1)


def affine_blocks(x: Floats, weights: Floats, top: int) -> AffineBlocks:
    """Round (S, 256) values to Q4_K (``top`` 15) or Q5_K (31); ``weights`` (S, 256) is what a squared error counts."""
    groups, counts = _groups_last(x, 32), _groups_last(weights, 32)
    best, least = _affine_fitted(groups, counts, plain_affine(groups, top), top, by_extremes)
    fit = affine(groups, counts, top)
    for _ in range(1 + REFITS):
        other, error = _affine_fitted(groups, counts, fit, top, shared_scale)
        fit = refit(groups, counts, np.ascontiguousarray(other.codes.reshape(-1, 32).T, dtype=np.float32))
        better = error < least
        least = np.minimum(error, least)
        best = AffineBlocks(
            d=np.where(better, other.d, best.d),
            dmin=np.where(better, other.dmin, best.dmin),
            scales=np.where(better[:, None], other.scales, best.scales),
            minima=np.where(better[:, None], other.minima, best.minima),
            codes=np.where(better[:, None, None], other.codes, best.codes),
            top=top,
        )
    return best


def six_blocks(x: Floats, weights: Floats) -> SixBlocks:
    """Round (S, 256) values to Q6_K; ``weights`` (S, 256) is what a squared error counts."""
    groups, counts = _groups_last(x, 16), _groups_last(weights, 16)
    one, error = _six_fitted(groups, counts, symmetric(groups, counts, CODE_BOTTOM, CODE_TOP), shared_scale)
    other, plain_error = _six_fitted(groups, counts, plain_symmetric(groups, CODE_BOTTOM), by_extremes)
    worse = error > plain_error
    return SixBlocks(
        d=np.where(worse, other.d, one.d),
        scales=np.where(worse[:, None], other.scales, one.scales),
        codes=np.where(worse[:, None, None], other.codes, one.codes),
    )


def _affine_fitted(
    x: Floats, weights: Floats, fit: tuple[Floats, Floats], top: int, share: Share
) -> tuple[AffineBlocks, Floats]:
    """Store scales and minima of the groups in 6 bits, round the codes to them; with (S,) weighted errors."""
    totals = weights.sum(axis=0)
    d, scales = _shared(fit[0], totals, 8, (0, SCALE_TOP), share)
    dmin, minima = _shared(fit[1], totals, 8, (0, SCALE_TOP), share)
    blocks = AffineBlocks(
        d=d,
        dmin=dmin,
        scales=scales.astype(np.uint8),
        minima=minima.astype(np.uint8),
        codes=np.empty((len(d), 8, 32), dtype=np.uint8),
        top=top,
    )
    steps, lows = (part.reshape(-1) for part in blocks.steps())
    codes = np.rint((x + lows) * inverse(steps))
    np.clip(codes, 0, np.float32(top), out=codes)
    blocks.codes[:] = codes.T.reshape(-1, 8, 32)
    return blocks, _errors(codes * steps - lows - x, weights, 8)


def _six_fitted(x: Floats, weights: Floats, fit: Floats, share: Share) -> tuple[SixBlocks, Floats]:
    """Store scales of the groups in 8 bits, round the codes to them; with (S,) weighted errors."""
    d, scales = _shared(fit, weights.sum(axis=0), 16, (SCALE_BOTTOM, -SCALE_BOTTOM - 1), share)
    empty = np.empty((len(d), 16, 16), dtype=np.int8)
    blocks = SixBlocks(d=d, scales=scales.astype(np.int8), codes=empty)
    steps = blocks.steps().reshape(-1)
    codes = np.rint(x * inverse(steps))
    np.clip(codes, CODE_BOTTOM, CODE_TOP, out=codes)
    blocks.codes[:] = codes.T.reshape(-1, 16, 16)
    return blocks, _errors(codes * steps - x, weights, 16)


def _shared(
    fit: Floats, weights: Floats, groups: int, limits: tuple[int, int], share: Share
) -> tuple[NDArray[np.float16], Floats]:
    """One scale (S,) for the numbers of a super-block's groups, and the whole number (S, groups) of each."""
    table = np.ascontiguousarray(fit.reshape(-1, groups).T)
    counts = np.ascontiguousarray(weights.reshape(-1, groups).T)
    d = share(table, counts, *limits).astype(np.float16)
    codes = np.rint(table * inverse(d.astype(np.float32)))
    return d, np.clip(codes, *limits).T


def _groups_last(x: Floats, size: int) -> Floats:
    """(S, 256) as (size, S * 256 / size)."""
    return np.ascontiguousarray(x.reshape(-1, size).T)


def _errors(difference: Floats, weights: Floats, groups: int) -> Floats:
    """(S,) weighted squared errors."""
    np.multiply(difference, difference, out=difference)
    found: Floats = np.einsum("kn,kn->n", difference, weights).reshape(-1, groups).sum(axis=1)
    return found
