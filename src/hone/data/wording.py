"""Counts and texts in sentences."""

from __future__ import annotations

from hone.wording import counted

__all__ = ["counted", "shortened"]


def shortened(text: str, most_chars: int) -> str:
    """A text of at most so many characters, dots at its end where it was longer."""
    return text if len(text) <= most_chars else text[: most_chars - 3] + "..."
