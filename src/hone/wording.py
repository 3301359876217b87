"""Counts and losses in sentences."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """``1 word``, ``1,200 words``; where an s at the end is not enough, ``counted(2, "row is", "rows are")``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def every(count: int, one: str) -> str:
    """``every step``, ``every 400 steps``."""
    return f"every {one}" if count == 1 else f"every {counted(count, one)}"


def nats(loss: float) -> str:
    """``0.374``; a small loss with two digits, ``5.2e-05``."""
    return f"{loss:.3f}" if abs(loss) >= 0.01 or loss == 0 else f"{loss:.2g}"
