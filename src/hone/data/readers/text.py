"""Plain text and Markdown in sections, and HTML pages, each of them a document."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

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
    name, start, size, part = file.name, 1, 0, 0
    held: list[str] = []
    for first, offset, block in line_blocks(file, progress, cut_bytes=BLOCK_BYTES):
        number = first
        for line in _lines(file, block, first, offset, progress):
            if isinstance(line, Bad):
                yield line
                number += 1
                continue
            held.append(line)
            size += len(line)
            number += 1
            if size >= SECTION_CHARS and (size >= LONGEST_SECTION_CHARS or line.isspace()):
                yield _section(name, start, part, held)
                # Only the last piece of a block can lack its line end: then the next section starts on the same line.
                is_whole = line.endswith("\n")
                start, part = (number, 0) if is_whole else (number - 1, part + 1)
                held, size = [], 0
    if held:
        yield _section(name, start, part, held)


def _section(name: str, start: int, part: int, held: Sequence[str]) -> Row:
    return Row(f"{name}:{start}.{part}" if part else f"{name}:{start}", {"text": "".join(held)})


def _lines(file: DataFile, block: bytes, first: int, offset: int, progress: Progress) -> Iterator[str | Bad]:
    """Lines with their ends; a block that is not UTF-8 is decoded again line by line."""
    try:
        # With newline="\n" lines end at \n alone, and keep it.
        yield from io.StringIO(to_text(block, progress), newline="\n")
    except UnicodeDecodeError:
        for number, line in enumerate(io.BytesIO(block), first):
            yield decode(line, offset, f"{file.name}:{number}", progress)
            offset += len(line)


def read_page(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """An HTML file as one row: ``text`` is the page as it stands, tags included, decoded by the charset it names."""
    with open_binary(file, progress) as handle:
        raw = handle.read(LONGEST_ROW_BYTES + 1)
    if len(raw) > LONGEST_ROW_BYTES:
        yield Bad(f"{file.name}:1", "", f"a page of at most {LONGEST_ROW_BYTES >> 20} MiB", "a longer file")
    elif raw:
        yield Row(f"{file.name}:1", {"text": decode_page(raw, "", progress)})
