"""CSV and TSV with a header line. The csv module does the parsing, over blocks of lines decoded at once."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain

from hone.data.readers.header import ROWS, Header
from hone.data.readers.opening import LONGEST_ROW_BYTES, DataFile, line_blocks
from hone.data.readers.progress import Progress
from hone.data.readers.utf8 import decode, to_text
from hone.data.rows import Bad, Row
from hone.errors import InputError

_INDEX = "index"
_DELIMITERS = (",", ";", "\t", "|")


def read_csv(file: DataFile, progress: Progress, delimiter: str = "") -> Iterator[Row | Bad]:
    """Rows of a CSV file; every value is text. Ids are the line on which the record starts.

    Without ``delimiter`` it is the one of comma, semicolon, tab and bar that the header has most of.

    Raises:
        InputError: for a header that is missing, has an empty name, or names a column twice.
    """
    csv.field_size_limit(LONGEST_ROW_BYTES)
    source = _Decoded(file, progress)
    lines = chain.from_iterable(source)
    header_line = next(lines, "")
    if not header_line:
        return
    delimiter = delimiter or max(_DELIMITERS, key=header_line.count)
    header = _header(header_line, delimiter, file, source, progress)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    name, width, before = file.name, len(header), 1
    names, held = Header(header), 0
    _hide(names, header, progress)
    while True:
        try:
            for cells in reader:
                row_id = f"{name}:{before + 1}"
                if source.faults and (fault := source.fault_between(before, reader.line_num + 1)):
                    yield Bad(row_id, "", fault.expected, fault.found)
                elif len(cells) == width:
                    if held < ROWS:
                        names.hold_against(cells)
                        _hide(names, header, progress)
                        held += 1
                    yield Row(row_id, dict(zip(header, cells, strict=True)))
                elif cells:
                    found = f"{len(cells)} ({delimiter!r} between them)"
                    listed = "" if progress.hides_values else f" ({', '.join(header)})"
                    yield Bad(row_id, "", f"{width} cells{listed}", found)
                before = reader.line_num + 1
        except csv.Error as error:
            yield Bad(f"{name}:{before + 1}", "", "a CSV record with closed quotes", _explained(error))
            before = reader.line_num + 1
            continue
        if doubt := names.doubt(file.name, hides_values=progress.hides_values):
            progress.note_once(doubt)
        return


def read_tsv(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """As :func:`read_csv` with tabs."""
    return read_csv(file, progress, "\t")


def _hide(names: Header, header: list[str], progress: Progress) -> None:
    if names.like_a_value and progress.hides_values:
        progress.doubtful.update(header)


def _explained(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return that ends no line; line ends must be \\n or \\r\\n"
    return str(error)


def _header(line: str, delimiter: str, file: DataFile, source: _Decoded, progress: Progress) -> list[str]:
    if fault := source.fault_between(0, 1):
        raise InputError(f"{file}:1: expected {fault.expected}, found {fault.found}")
    if "\r" in line.rstrip("\r\n"):
        raise InputError(
            f"{file}: its lines end in \\r alone, as old spreadsheets write them; save it with \\n or \\r\\n"
        )
    header = next(csv.reader([line], delimiter=delimiter), [])
    if header[:1] == [""] and len(header) > 1 and _INDEX not in header:
        header[0] = _INDEX
        progress.note(f'{file}: the first column has no name, as pandas writes row numbers; it is called "{_INDEX}"')
    if not header:
        raise InputError(f"{file}:1: the header line is empty; expected the names of the columns")
    problems = [
        f"{file}:1: column {i} has no name in the header line" for i, c in enumerate(header, 1) if not c.strip()
    ]
    twice = sorted({column for column in header if header.count(column) > 1})
    for column in twice:
        name = "a column" if progress.hides_values else f'the column "{column}"'
        problems.append(f"{file}:1: the header names {name} {header.count(column)} times")
    if problems:
        names = Header([cell for cell in header if cell.strip()])
        doubt = names.doubt(str(file), hides_values=progress.hides_values)
        raise InputError([*problems, *([doubt] if doubt else [])])
    return header


class _Decoded(Iterator[Iterator[str]]):
    """Blocks of lines as text. Lines that are not UTF-8 are replaced, and what is wrong with them kept."""

    def __init__(self, file: DataFile, progress: Progress) -> None:
        self.faults: dict[int, Bad] = {}
        self._blocks = line_blocks(file, progress)
        self._file, self._progress = file, progress

    def __next__(self) -> Iterator[str]:
        first, offset, block = next(self._blocks)
        try:
            text = to_text(block, self._progress)
        except UnicodeDecodeError:
            text = self._replaced(first, offset, block)
        # With newline="\n" the lines of this text end at \n alone and keep it, as the csv module wants.
        return io.StringIO(text, newline="\n")

    def _replaced(self, first: int, offset: int, block: bytes) -> str:
        parts = []
        for number, raw in enumerate(block.split(b"\n"), first):
            text = decode(raw, offset, f"{self._file.name}:{number}", self._progress)
            if isinstance(text, Bad):
                self.faults[number] = text
                text = raw.decode("utf-8", "replace")
            parts.append(text)
            offset += len(raw) + 1
        return "\n".join(parts)

    def fault_between(self, before: int, last: int) -> Bad | None:
        """The first fault of the lines behind ``before`` up to ``last``; those up to ``last`` are forgotten."""
        found = sorted(number for number in self.faults if number <= last)
        faults = [self.faults.pop(number) for number in found]
        return next((fault for number, fault in zip(found, faults, strict=True) if number > before), None)
