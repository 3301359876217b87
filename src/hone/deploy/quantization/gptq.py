"""Rounding that looks at the output: codes for which ``(W - Q) X`` is small, and not ``W - Q``.

GPTQ (E. Frantar et al., arXiv:2210.17323) rounds column by column and moves what each rounding loses into the columns
that are still to come, along the inverse of ``H = X^T X``. Behind it codes and scales descend once more, one column
and one block at a time with the others held (QuantEase, K. Behdin et al., arXiv:2309.01885): each move lowers the same
error, which GPTQ's single pass leaves some of. Columns keep their places, so the layout stays that of plain rounding.

numpy in float64: Cholesky of a nearly singular matrix in float32 breaks down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hone.deploy.quantization.grids import BLOCK, LIMITS, nearest, searched, values_of
from hone.deploy.weights import Codes
from hone.errors import InputError

Doubles = NDArray[np.float64]

DAMPING = 0.01
"""Share of the mean of H's diagonal that is added to all of it: GPTQ's."""
SWEEPS = 3
"""Passes of descent over all columns; more lowered the error by less than a hundredth on the voice model."""


def gptq(
    matrix: NDArray[np.float32],
    hessian: NDArray[np.floating],
    bits: int = 4,
    *,
    block: int = BLOCK,
    damping: float = DAMPING,
    sweeps: int = SWEEPS,
) -> Codes:
    """Codes of a matrix whose output error over the calibration inputs is small; of no row larger than by rounding.

    Args:
        matrix: (rows, columns) float32, applied as ``x @ matrix.T``.
        hessian: (columns, columns) sum or mean of ``x x^T`` over the inputs.
        bits: 4 or 8.
        block: weights to a scale; divides the columns.
        damping: see :data:`DAMPING`.
        sweeps: see :data:`SWEEPS`.

    Raises:
        InputError: for shapes that do not fit, or inputs that are not finite.
    """
    columns = matrix.shape[-1]
    if hessian.shape != (columns, columns) or not np.isfinite(hessian).all():
        raise InputError(
            f"a matrix with {columns} columns needs finite second moments of shape ({columns}, {columns}); "
            f"given {hessian.shape}"
        )
    damped = _damped(hessian, damping)
    found = _column_by_column(matrix, damped, bits, block)
    found = _descended(matrix, damped, found, sweeps)
    plain = [nearest(matrix, bits, block), searched(matrix, bits, np.diag(damped), block)]
    return _best_rows(matrix, hessian, [*plain, found])


def output_error(matrix: NDArray[np.float32], codes: Codes, hessian: NDArray[np.floating]) -> Doubles:
    """(rows,) squared error of each output summed over the inputs: ``diag((W - Q) H (W - Q)^T)``."""
    off = matrix.astype(np.float64) - values_of(codes)
    found: Doubles = ((off @ hessian) * off).sum(-1)
    return found


def _damped(hessian: NDArray[np.floating], damping: float) -> Doubles:
    """H with something on its diagonal; an input that is always zero counts like an average one."""
    damped = np.array(hessian, np.float64)
    diagonal = np.diag(damped).copy()
    mean = float(diagonal.mean()) or 1.0
    damped[np.diag_indices_from(damped)] = np.where(diagonal > 0, diagonal, mean) + damping * mean
    return damped


def _column_by_column(matrix: NDArray[np.float32], hessian: Doubles, bits: int, block: int) -> Codes:
    low, high = LIMITS[bits]
    # Upper triangle U with U^T U = H^-1: row j says how a loss in column j is made up for by those behind it.
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    weights = matrix.astype(np.float64)
    codes, scales = np.empty(matrix.shape, np.int8), np.empty((len(matrix), matrix.shape[1] // block), np.float16)
    for group, start in enumerate(range(0, matrix.shape[1], block)):
        within = slice(start, start + block)
        worth = 1.0 / np.square(np.diag(upper)[within])
        scales[:, group] = searched(weights[:, within].astype(np.float32), bits, worth, block).scales[:, 0]
        scale = scales[:, group].astype(np.float64)
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
        lost = np.empty((block, len(matrix)))
        # Columns as rows: what is read and written together lies together.
        left = np.ascontiguousarray(weights[:, within].T)
        for offset in range(block):
            at = start + offset
            code = np.clip(np.rint(left[offset] * inverse), low, high)
            codes[:, at] = code
            lost[offset] = (left[offset] - code * scale) / upper[at, at]
            left[offset + 1 :] -= np.outer(upper[at, at + 1 : start + block], lost[offset])
        weights[:, start + block :] -= lost.T @ upper[within, start + block :]
    return Codes(codes=codes, scales=scales, bits=bits, block=block)


def _descended(matrix: NDArray[np.float32], hessian: Doubles, begun: Codes, sweeps: int) -> Codes:
    """Codes and scales moved one at a time to where the error is least with all others held."""
    low, high = LIMITS[begun.bits]
    block = begun.block
    codes, scales = begun.codes.astype(np.float64), begun.scales.astype(np.float64)
    pull = (matrix.astype(np.float64) - values_of(begun)) @ hessian
    for _ in range(sweeps):
        for group in range(scales.shape[1]):
            within = slice(group * block, (group + 1) * block)
            # Columns as rows; other blocks hear of this one's moves together, when they are done.
            mine, near = np.ascontiguousarray(codes[:, within].T), hessian[within, within]
            here = np.ascontiguousarray(pull[:, within].T)
            scale, moves = _rescaled(mine, scales[:, group], here, near)
            here -= near @ moves
            inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
            for at in range(block):
                code = np.clip(np.rint(mine[at] + inverse * here[at] / near[at, at]), low, high)
                move = (code - mine[at]) * scale
                here -= np.outer(near[at], move)
                moves[at] += move
                mine[at] = code
            codes[:, within], scales[:, group] = mine.T, scale
            pull -= moves.T @ hessian[within]
    return Codes(codes=codes.astype(np.int8), scales=scales.astype(np.float16), bits=begun.bits, block=block)


def _rescaled(codes: Doubles, scale: Doubles, pull: Doubles, hessian: Doubles) -> tuple[Doubles, Doubles]:
    """One block's scales (rows,) where the error is least, as far as float16 says it; and how that moves its weights.

    Codes, pull and moves are (block, rows), the Hessian (block, block) is the block's own.
    """
    down = ((hessian @ codes) * codes).sum(0)
    gain = np.divide((codes * pull).sum(0), down, out=np.zeros(len(scale)), where=down > 0)
    moved = (scale + gain).astype(np.float16).astype(np.float64) - scale
    # Rounded to float16 a step may overshoot; it helps while it is less than twice the best one.
    moved = np.where(np.abs(moved - gain) < np.abs(gain), moved, 0.0)
    return scale + moved, codes * moved


def _best_rows(matrix: NDArray[np.float32], hessian: NDArray[np.floating], candidates: list[Codes]) -> Codes:
    """Each row from the candidate with the least error there: outputs do not depend on each other's weights."""
    errors = np.stack([output_error(matrix, one, hessian) for one in candidates])
    chosen, rows = errors.argmin(0), np.arange(len(matrix))
    first = candidates[0]
    return Codes(
        codes=np.stack([one.codes for one in candidates])[chosen, rows],
        scales=np.stack([one.scales for one in candidates])[chosen, rows],
        bits=first.bits,
        block=first.block,
    )
