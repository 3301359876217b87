"""JSON Lines: a block at a time while it is clean, line by line where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hone.data.readers.json_exact import parse_all, parse_exactly
from hone.data.readers.opening import DataFile, line_blocks
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row
from hone.errors import InputError


def read_lines(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """One object per line; lines of white space are no rows. Ids are line numbers.

    Raises:
        InputError: as :func:`~hone.data.readers.opening.line_blocks`; for a JSON array under the name of JSON Lines.
    """
    name = file.name
    for first, offset, block in line_blocks(file, progress):
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if offset <= 3:
            _check_is_lines(file, lines)
        rows = parse_all(lines, block)
        if rows is None:
            yield from _one_by_one(lines, first, offset, name, progress)
            continue
        for number, fields in enumerate(rows, first):
            yield Row(f"{name}:{number}", fields)


def _one_by_one(lines: Sequence[bytes], first: int, offset: int, name: str, progress: Progress) -> Iterator[Row | Bad]:
    for number, line in enumerate(lines, first):
        if line and not line.isspace():
            rows = parse_all((line,), line)
            row_id = f"{name}:{number}"
            yield Row(row_id, rows[0]) if rows else parse_exactly(line, offset, row_id, progress)
        offset += len(line) + 1


def _check_is_lines(file: DataFile, lines: Sequence[bytes]) -> None:
    first = next((line.strip() for line in lines if line.strip()), b"")
    if first.startswith(b"[") and not first.endswith(b"]"):
        raise InputError(f"{file}: a JSON array and not one object per line; give it the suffix .json")
