"""How much the fused pass takes at once: read by the pass itself, and without torch by the estimate of its memory."""

from __future__ import annotations

MOST_WANTED = 0.9
"""Share of the tokens that predict something, from which all of them go through the whole last layer: choosing costs as
much then (:mod:`hone.model.faster`)."""
PIECE_LOGITS = 1 << 18
"""Logits that :mod:`hone.model.fused_head` holds at once, 1 MB, where a piece then has enough rows."""
LEAST_PIECE_ROWS = 256
"""Rows of a piece at least, 4 bytes * 256 * V: products of fewer are slower, and the gradient of the output matrix is
read and written once a piece."""


def piece_rows(outputs: int) -> int:
    """Rows of one piece of the logits over so many outputs."""
    return max(LEAST_PIECE_ROWS, PIECE_LOGITS // outputs)
