"""Scales for groups of weights, found by weighted least squares over a few candidates.

Dividing a group's largest value by the largest code is rarely best: for each candidate the codes are rounded, and the
scale (and minimum) with which these codes have the least squared error follows in closed form. llama.cpp searches the
same way (``make_qkx2_quants`` and ``make_qx_quants`` of ``ggml-quants.c``); here all groups are searched together.

Shapes: ``k`` weights of a group by ``n`` groups, groups last, so that each step is one pass over long rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

AFFINE_OFFSETS = tuple(np.arange(-10, 11, dtype=np.float32) / 10)
"""What is added to the largest code of a group with a minimum, for each candidate."""
SYMMETRIC_OFFSETS = tuple(np.arange(-9, 10, dtype=np.float32) / 10)
"""The same for a group without."""
SHARED_OFFSETS = tuple(np.arange(-8, 2, dtype=np.float32) / 4)
"""The same for the scale that the groups of a super-block share."""
TINY = np.float32(1e-30)
"""A span or sum up to this counts as none; a scale in 16 bits could not say it anyway."""


def plain_affine(x: Floats, top: int) -> tuple[Floats, Floats]:
    """Scale and minimum of each group by its extremes: ``value = scale * code - minimum`` with codes 0 to ``top``."""
    low = np.minimum(x.min(axis=0), 0)
    return (x.max(axis=0) - low) / np.float32(top), -low


def affine(x: Floats, weights: Floats, top: int) -> tuple[Floats, Floats]:
    """Scale and minimum (n,), neither negative, with the least weighted squared error among the candidates.

    Args:
        x: (k, n) values.
        weights: (k, n) what a squared error counts, positive.
        top: largest code.
    """
    low = np.minimum(x.min(axis=0), 0)
    span = x.max(axis=0) - low
    step = inverse(span)
    shifted = x - low
    total = weights.sum(axis=0)
    mean = _dot(weights, x) / total
    centred = x - mean
    best = np.full_like(span, -np.inf)
    scales, minima = plain_affine(x, top)
    codes, weighted = np.empty_like(x), np.empty_like(x)
    for offset in AFFINE_OFFSETS:
        np.multiply(shifted, (np.float32(top) + offset) * step, out=codes)
        np.rint(codes, out=codes)
        np.minimum(codes, np.float32(top), out=codes)
        np.multiply(codes, weights, out=weighted)
        sum_codes, sum_squares, covariance = weighted.sum(axis=0), _dot(weighted, codes), _dot(weighted, centred)
        # Around the mean the error is a constant less the gain, which keeps digits that the sums would lose.
        variance = sum_squares - sum_codes * sum_codes / total
        scale, gain = _fit(covariance, variance)
        minimum = scale * sum_codes / total - mean
        # A minimum above zero cannot be stored: then it is none, and the scale is fitted without.
        at_zero, gain_at_zero = _fit(covariance + mean * sum_codes, sum_squares)
        above = minimum < 0
        scale = np.where(above, at_zero, scale)
        gain = np.where(above, gain_at_zero - total * mean * mean, gain)
        better = (gain > best) & (scale > 0)
        best = np.where(better, gain, best)
        scales = np.where(better, scale, scales)
        minima = np.where(better, np.maximum(minimum, 0), minima)
    return scales, minima


def plain_symmetric(x: Floats, bottom: int) -> Floats:
    """Scale (n,) of each group by its value of largest magnitude, which gets the code ``bottom`` (negative)."""
    return _extreme(x) / np.float32(bottom)


def symmetric(x: Floats, weights: Floats, bottom: int, top: int) -> Floats:
    """Scale (n,), of either sign, with the least weighted squared error among the candidates: ``value = scale * code``.

    Args:
        x: (k, n) values.
        weights: (k, n) what a squared error counts, positive.
        bottom: smallest code, negative; the value of largest magnitude is put there.
        top: largest code.
    """
    extreme = _extreme(x)
    step = inverse(extreme)
    best = np.full_like(extreme, -np.inf)
    scales = plain_symmetric(x, bottom)
    codes, weighted = np.empty_like(x), np.empty_like(x)
    for offset in SYMMETRIC_OFFSETS:
        np.multiply(x, (np.float32(bottom) + offset) * step, out=codes)
        np.rint(codes, out=codes)
        np.clip(codes, np.float32(bottom), np.float32(top), out=codes)
        np.multiply(codes, weights, out=weighted)
        scale, gain = _fit(_dot(weighted, x), _dot(weighted, codes))
        better = gain > best
        best = np.where(better, gain, best)
        scales = np.where(better, scale, scales)
    return scales


def shared_scale(table: Floats, weights: Floats, bottom: int, top: int) -> Floats:
    """Scale (S,) with which whole numbers from ``bottom`` to ``top`` come nearest to the columns of a table (g, S)."""
    extreme = _extreme(table)
    limit = np.float32(bottom or top)
    step = inverse(extreme)
    best, found = np.full_like(extreme, -np.inf), extreme / limit
    for offset in SHARED_OFFSETS:
        codes = np.rint(table * ((limit + np.float32(np.sign(limit)) * offset) * step))
        np.clip(codes, bottom, top, out=codes)
        weighted = codes * weights
        scale, gain = _fit(_dot(weighted, table), _dot(weighted, codes))
        better = gain > best
        best, found = np.where(better, gain, best), np.where(better, scale, found)
    return found


def by_extremes(table: Floats, weights: Floats, bottom: int, top: int) -> Floats:  # noqa: ARG001  (as shared_scale)
    """Scale (S,) with which the number of largest magnitude in each column gets the code farthest from zero."""
    found: Floats = _extreme(table) / np.float32(bottom or top)
    return found


def refit(x: Floats, weights: Floats, codes: Floats) -> tuple[Floats, Floats]:
    """Scale and minimum (n,) with which given codes (k, n) have the least weighted squared error."""
    total = weights.sum(axis=0)
    mean = _dot(weights, x) / total
    weighted = weights * codes
    sum_codes, sum_squares = weighted.sum(axis=0), _dot(weighted, codes)
    scale, _ = _fit(_dot(weighted, x - mean), sum_squares - sum_codes * sum_codes / total)
    minimum = scale * sum_codes / total - mean
    at_zero, _ = _fit(_dot(weighted, x), sum_squares)
    return np.maximum(np.where(minimum < 0, at_zero, scale), 0), np.maximum(minimum, 0)


def inverse(steps: Floats) -> Floats:
    """1 / step, and 0 where there is none."""
    found: Floats = np.divide(1, steps, out=np.zeros_like(steps), where=np.abs(steps) > TINY)
    return found


def _extreme(x: Floats) -> Floats:
    """The value of largest magnitude of each group, with its sign."""
    low, high = x.min(axis=0), x.max(axis=0)
    found: Floats = np.where(-low > high, low, high)
    return found


def _fit(covariance: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Least squares: the scale, and by how much it lowers the squared error; none where nothing varies."""
    usable = variance > TINY
    scale = np.divide(covariance, variance, out=np.zeros_like(covariance), where=usable)
    return scale, np.where(usable, scale * covariance, np.float32(-np.inf))


def _dot(left: Floats, right: Floats) -> Floats:
    """(n,) sums over the weights of a group."""
    found: Floats = np.einsum("kn,kn->n", left, right)
    return found
