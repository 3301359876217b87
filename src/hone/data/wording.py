"""Counts and texts in sentences."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """``1 word``, ``1,200 words``; where an s at the end is not enough, ``counted(2, "row is", "rows are")``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def shortened(text: str, most_chars: int) -> str:
    """A text of at most so many characters, dots at its end where it was longer."""
    return text if len(text) <= most_chars else text[: most_chars - 3] + "..."
