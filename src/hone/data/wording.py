"""Texts in sentences."""

from __future__ import annotations


def shortened(text: str, most_chars: int) -> str:
    """A text of at most so many characters, dots at its end where it was longer."""
    return text if len(text) <= most_chars else text[: most_chars - 3] + "..."
