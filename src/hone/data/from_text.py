"""Plain text: whole paragraphs gathered into sections, each of them a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hone.data.opening import decode, lines
from hone.data.rows import Bad, Row

SECTION_CHARS = 2_000
LONGEST_SECTION_CHARS = 8_000


def read_text(path: Path, name: str) -> Iterator[Row | Bad]:
    """Sections of a text file as rows with one field, ``text``; ids are the line on which a section starts.

    A section ends at the first blank line after 2,000 characters, or at the end of the line that passes 8,000.
    A shorter file is one document. The sections, joined, are the file: nothing is added, stripped or lost. They
    are what a split can move, so that one long book still has rows for dev and test.
    """
    start, size = 1, 0
    parts: list[str] = []
    for number, offset, raw in lines(path):
        text = decode(raw, offset, f"{name}:{number}")
        if isinstance(text, Bad):
            yield text
            continue
        parts.append(text)
        size += len(text)
        if (size >= SECTION_CHARS and not text.strip()) or size >= LONGEST_SECTION_CHARS:
            yield Row(f"{name}:{start}", {"text": "".join(parts)})
            start, size = number + 1, 0
            parts = []
    if parts:
        yield Row(f"{name}:{start}", {"text": "".join(parts)})
