"""Plain text and Markdown in sections, and HTML pages, each of them a document."""

from __future__ import annotations

from collections.abc import Iterator

from hone.data.readers.charsets import decode_page
from hone.data.readers.opening import BLOCK_BYTES, LONGEST_ROW_BYTES, DataFile, line_blocks, open_binary
from hone.data.readers.progress import Progress
from hone.data.readers.utf8 import decode, to_text
from hone.data.rows import Bad, Row

SECTION_CHARS = 2_000
LONGEST_SECTION_CHARS = 8_000


def read_text(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """Sections of a text file as rows with one field, ``text``; ids are the line on which a section starts.

    A section ends at the first blank line after 2,000 characters, or at the end of the line that passes 8,000; of a
    line of more than a megabyte it is a part. A shorter file is one document. The sections, joined, are the file:
    nothing is added, stripped or lost. They are what a split can move, so that one long book still has rows for dev
    and test.
    """
    name, start, size = file.name, 1, 0
    parts: list[str] = []
    taken = 0
    for first, offset, block in line_blocks(file, progress, cut_bytes=BLOCK_BYTES):
        number = first
        for line in _lines(file, block, first, offset, progress):
            if isinstance(line, Bad):
                yield line
                number += 1
                continue
            parts.append(line)
            size += len(line)
            ended = line.endswith("\n")
            if (size >= SECTION_CHARS and not line.strip()) or size >= LONGEST_SECTION_CHARS:
                # Sections of one overlong line start on the same line; the later ones are told apart.
                yield Row(f"{name}:{start}" + (f".{taken}" if taken else ""), {"text": "".join(parts)})
                taken = 0 if ended else taken + 1
                start, size = number + ended, 0
                parts = []
            number += ended
    if parts:
        yield Row(f"{name}:{start}" + (f".{taken}" if taken else ""), {"text": "".join(parts)})


def _lines(file: DataFile, block: bytes, first: int, offset: int, progress: Progress) -> Iterator[str | Bad]:
    """Lines with their ends; a block that is not UTF-8 is decoded again line by line."""
    try:
        text = to_text(block, progress)
    except UnicodeDecodeError:
        for number, line in enumerate(block.splitlines(keepends=True) if b"\r" not in block else _split(block), first):
            yield decode(line, offset, f"{file.name}:{number}", progress)
            offset += len(line)
        return
    *whole, rest = text.split("\n")
    for piece in whole:
        yield piece + "\n"
    if rest:
        yield rest


def _split(block: bytes) -> list[bytes]:
    *whole, rest = block.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def read_page(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """An HTML file as one row: ``text`` is the page as it stands, tags included, decoded by the charset it names."""
    with open_binary(file, progress) as handle:
        raw = handle.read(LONGEST_ROW_BYTES + 1)
    if len(raw) > LONGEST_ROW_BYTES:
        yield Bad(f"{file.name}:1", "", f"a page of at most {LONGEST_ROW_BYTES >> 20} MiB", "a longer file")
    elif raw:
        yield Row(f"{file.name}:1", {"text": decode_page(raw, "", progress)})
