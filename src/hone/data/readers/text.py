"""Plain text and Markdown in documents or sections, and HTML pages, each of them a document."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from hone.data.readers.charsets import decode_page
from hone.data.readers.opening import BLOCK_BYTES, LONGEST_ROW_BYTES, DataFile, line_blocks, open_binary
from hone.data.readers.progress import Progress
from hone.data.readers.utf8 import decode, to_text
from hone.data.rows import Bad, Row
from hone.wording import counted

SECTION_CHARS = 2_000
LONGEST_SECTION_CHARS = 8_000
LONGEST_DOCUMENT_CHARS = 8_000_000
LOOK_BYTES = 4 << 20
"""What is held to see whether documents are separated."""
_Block = tuple[int, int, bytes]
"""Whole lines: 1-based number of the first, its byte offset, bytes."""
_SEPARATOR = re.compile(
    rb"^[ \t]*(<\|(?:end_?of_?(?:text|doc|document|story|file|page)|eos|eod|eot|eof|doc_?sep|sep|separator)\|>"
    rb"|</s>|<eos>|<eod>|<sep>|\[(?:EOS|EOD|SEP)\])[ \t\r]*$",
    re.MULTILINE | re.IGNORECASE,
)
"""Lines that training texts of language models are cut at; a rule of dashes or stars also stands inside a text."""


def read_text(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """Documents or sections of a text file as rows with one field, ``text``; ids are the line on which each starts.

    Where a line that says nothing but that a text ends (``<|endoftext|>``) stands twice in the first 4 MiB, it stands
    between documents, and each document is a row: the lines between two such lines, without empty ones before it and
    white space at its end. That is noted. A document of more than 8,000,000 characters is cut into parts.

    Other files are read in sections. A section ends at the first blank line after 2,000 characters, or at the end of
    the line that passes 8,000; of a line of more than a megabyte it is a part. A shorter file is one document. The
    sections, joined, are the file: nothing is added, stripped or lost. They are what a split can move, so that one long
    book still has rows for dev and test.
    """
    rest = line_blocks(file, progress, cut_bytes=BLOCK_BYTES)
    looked_at, separator = _look(rest)
    blocks = chain(looked_at, rest)
    yield from _documents(file, blocks, separator, progress) if separator else _sections(file, blocks, progress)


def _look(blocks: Iterator[_Block]) -> tuple[list[_Block], str]:
    """The first blocks, and the line that separates documents ("" where none comes twice in them)."""
    held: list[_Block] = []
    counts: Counter[bytes] = Counter()
    size_bytes = 0
    for block in blocks:
        held.append(block)
        counts.update(match[1] for match in _SEPARATOR.finditer(block[2]))
        size_bytes += len(block[2])
        if size_bytes >= LOOK_BYTES or max(counts.values(), default=0) > 1:
            break
    ((line, count),) = counts.most_common(1) or [(b"", 0)]
    return held, line.decode() if count > 1 else ""


def _documents(file: DataFile, blocks: Iterable[_Block], separator: str, progress: Progress) -> Iterator[Row | Bad]:
    start, size, part, ended, empty = 1, 0, 0, False, 0
    held: list[str] = []
    for first, offset, block in blocks:
        for number, line in enumerate(_lines(file, block, first, offset, progress), first):
            if isinstance(line, Bad):
                yield line
            elif line.strip() == separator:
                yield from _document(file.name, start, part, held)
                empty += ended and not part and not held
                ended, held, size, part = True, [], 0, 0
            elif held or part or not line.isspace():
                start = start if held or part else number
                held.append(line)
                size += len(line)
                if size >= LONGEST_DOCUMENT_CHARS:
                    yield Row(_id(file.name, start, part), {"text": "".join(held)})
                    progress.note(f"{file}: a document of more than {LONGEST_DOCUMENT_CHARS:,} characters is cut")
                    held, size, part = [], 0, part + 1
    yield from _document(file.name, start, part, held)
    left_out = f"; {counted(empty, 'empty one is', 'empty ones are')} left out" if empty else ""
    progress.note_once(f'{file}: a line "{separator}" ends a document, and each document is a row{left_out}')


def _document(name: str, start: int, part: int, held: Sequence[str]) -> Iterator[Row]:
    text = "".join(held).rstrip()
    if text:
        yield Row(_id(name, start, part), {"text": text})


def _sections(file: DataFile, blocks: Iterable[_Block], progress: Progress) -> Iterator[Row | Bad]:
    name, start, size, part = file.name, 1, 0, 0
    held: list[str] = []
    for first, offset, block in blocks:
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
                yield Row(_id(name, start, part), {"text": "".join(held)})
                # Only the last piece of a block can lack its line end: then the next section starts on the same line.
                is_whole = line.endswith("\n")
                start, part = (number, 0) if is_whole else (number - 1, part + 1)
                held, size = [], 0
    if held:
        yield Row(_id(name, start, part), {"text": "".join(held)})


def _id(name: str, start: int, part: int) -> str:
    return f"{name}:{start}.{part}" if part else f"{name}:{start}"


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
