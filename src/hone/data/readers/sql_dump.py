"""Dumps of MySQL, PostgreSQL and SQLite: the rows of one table out of INSERT statements or COPY blocks, streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hone.data.readers.opening import LONGEST_ROW_BYTES, DataFile
from hone.data.readers.progress import Progress
from hone.data.readers.sql_text import BLANK, HEAD, columns_of, copied_value, dialect_of, name_of, names_of, value_of
from hone.data.readers.utf8 import decode, to_text
from hone.data.readers.window import Window
from hone.data.rows import Bad, Row
from hone.errors import InputError, nearest

_HEAD_BYTES = 1 << 14
_STEP_BYTES = 1 << 15
_SPACES = re.compile(rb"\s*+")
_ROWS = re.compile(rb"(?:INSERT|REPLACE|COPY)\b", re.IGNORECASE)
_CLOSING = ord(")")
_COPY_END = re.compile(rb"^\\\.\r?(?:\n|\Z)", re.MULTILINE)


def read_sql(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """Rows of the table that the source names (``dump.sql:table``), or of the only one with rows; ids count from 1.

    Columns are named by the INSERT or COPY, else by the CREATE TABLE. Numbers, booleans and NULL are values; the cells
    of COPY are text. Only literals are read: a row with an expression is a :class:`Bad`.

    Raises:
        InputError: for several tables with rows when none is named (listing them), for a name that is none of them, and
            where the dump is cut off.
    """
    yield from _Dump(file, progress).rows()


class _Dump:
    def __init__(self, file: DataFile, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self._window = Window(file, progress, _STEP_BYTES)
        while len(self._window.data) < _HEAD_BYTES and self._window.grow():
            pass
        self._dialect = dialect_of(self._window.data)
        self._columns: dict[str, list[str]] = {}
        self._with_rows: dict[str, None] = {}
        self._number = 0

    def rows(self) -> Iterator[Row | Bad]:
        window = self._window
        while self._at_statement():
            match = HEAD.match(window.data)
            if match is None:
                if _ROWS.match(window.data):
                    self._progress.note(f"{self._file}: statements that bring rows otherwise than by VALUES, not read")
                    self._skip_rows()
                else:
                    self._skip_statement()
            elif match["create"] is not None:
                self._create(name_of(match["create"]), match.end())
            else:
                copied = match["copy"] is not None
                table = name_of(match["copy"] if copied else match["insert"])
                named = match["copied"] if copied else match["columns"]
                self._with_rows.setdefault(table)
                columns = names_of(named) if named else self._columns.get(table)
                wanted = self._is_wanted(table)
                if wanted and columns is None:
                    raise InputError(f"{self._file}:{window.line}: no CREATE TABLE names the columns of {table}")
                window.drop(match.end())
                if copied:
                    yield from self._copied(columns or [], wanted)
                elif wanted:
                    yield from self._inserted(columns or [])
                else:
                    self._skip_rows()
        self._check_tables()

    def _is_wanted(self, table: str) -> bool:
        part = self._file.part
        if part:
            return part in (table, table.rpartition(".")[2])
        # With a second table the source is ambiguous: it is only looked at, to name all tables in the error.
        return len(self._with_rows) == 1

    def _check_tables(self) -> None:
        names, part = sorted(self._with_rows), self._file.part
        meant = [name for name in names if part in (name, name.rpartition(".")[2])]
        if part and not meant:
            raise InputError(f'{self._file}: has no rows of a table "{part}"; {nearest(part, names)}')
        if part and len(meant) > 1:
            raise InputError(f'{self._file}: "{part}" could be {" or ".join(meant)}; name the schema too')
        if not part and len(names) > 1:
            listed = ", ".join(names)
            raise InputError(
                f"{self._file}: has rows of {len(names)} tables ({listed}); name one after a colon: "
                f"{self._file.name}:{names[0]}"
            )

    def _at_statement(self) -> bool:
        """Drop comments and space; whether a statement follows, of which the head is in the window."""
        window = self._window
        while True:
            match = BLANK.match(window.data)
            window.drop(match.end() if match else 0)
            if len(window.data) >= _HEAD_BYTES or not window.grow():
                # The last line may be a comment without a line end.
                return bool(window.data) and not window.data.startswith((b"--", b"#", b"\\"))

    def _create(self, table: str, start: int) -> None:
        window = self._window
        window.drop(start + 1)
        at, depth = 0, 1
        while depth > 0:
            match = self._dialect.token.match(window.data, at)
            at = match.end() if match else at
            sign = window.data[at : at + 1]
            if sign in (b"(", b")"):
                depth += 1 if sign == b"(" else -1
                at += 1
            elif sign == b";":
                break
            elif len(window.data) > LONGEST_ROW_BYTES or not window.grow():
                raise window.fault("the end of CREATE TABLE", at)
        self._columns[table] = columns_of(window.data[:at], self._dialect)
        window.drop(at)
        self._skip_statement()

    def _skip_rows(self) -> None:
        """As :meth:`_skip_statement`, of a statement that brings rows: without its end, rows behind it are missing."""
        line = self._window.line
        if not self._skip_statement():
            raise self._window.fault(f"a semicolon behind the statement that begins on line {line:,}")

    def _skip_statement(self) -> bool:
        """Go behind the next semicolon outside strings and comments, holding only what is not yet a whole token.

        Whether there is one; the last statement may lack it, which is noted.
        """
        window, line = self._window, self._window.line
        while True:
            at = 0
            while at < len(window.data):
                match = self._dialect.token.match(window.data, at)
                end = match.end() if match else at
                sign = window.data[end : end + 1]
                if sign == b";":
                    window.drop(end + 1)
                    return True
                if sign not in (b"(", b")"):
                    at = end
                    break
                at = end + 1
            window.drop(at)
            if len(window.data) > LONGEST_ROW_BYTES:
                raise window.fault("the end of a statement")
            if not window.grow():
                window.drop(len(window.data))
                self._progress.note(
                    f"{self._file}: the statement on line {line:,}, the last, has no semicolon at its end"
                )
                return False

    def _inserted(self, columns: list[str]) -> Iterator[Row | Bad]:
        """The rows behind VALUES; at the end the window stands behind the statement."""
        window, at = self._window, 0
        while True:
            at = self._past_space(at)
            sign = window.data[at : at + 1]
            if sign == b"(":
                values, end = self._values(at + 1)
                while values is None and (end := self._end_of_row(at)) < 0:
                    window.drop(at)
                    at = 0
                    if len(window.data) > LONGEST_ROW_BYTES or not window.grow():
                        raise window.fault("a whole row")
                    values, end = self._values(1)
                yield self._row(columns, values, at, end)
                # Most rows follow each other without a space.
                at = end + 1 if window.data[end : end + 2] == b",(" else end
            elif sign == b",":
                at += 1
            elif sign:
                window.drop(at)
                self._skip_rows()
                return
            else:
                raise window.fault("a row or a semicolon", at)

    def _past_space(self, at: int) -> int:
        """Where the next byte that is no space stands, after reading on where the window ends."""
        window = self._window
        while True:
            match = _SPACES.match(window.data, at)
            at = match.end() if match else at
            if at < len(window.data):
                return at
            window.drop(at)
            at = 0
            if not window.grow():
                return at

    def _values(self, at: int) -> tuple[list[Any] | None, int]:
        """The literals up to the closing bracket and the position behind it; None where one is not whole or none."""
        data, match_value, dialect, progress = (
            self._window.data,
            self._dialect.value.match,
            self._dialect,
            self._progress,
        )
        values: list[Any] = []
        while match := match_value(data, at):
            try:
                values.append(value_of(match, dialect, progress))
            except UnicodeDecodeError as error:
                values.append(error)  # named with its row, once the row is whole
            at = match.end() + 1
            if data[at - 1] == _CLOSING:
                return values, at
        return None, -1

    def _end_of_row(self, at: int) -> int:
        """The position behind the bracket that closes the row, or -1 where the window ends before."""
        data, depth = self._window.data, 0
        while at < len(data):
            sign = data[at : at + 1]
            if sign in (b"(", b")"):
                depth += 1 if sign == b"(" else -1
                at += 1
                if depth == 0:
                    return at
            else:
                match = self._dialect.token.match(data, at)
                if match is None or match.end() == at:
                    return -1
                at = match.end()
        return -1

    def _row(self, columns: list[str], values: list[Any] | None, at: int, end: int) -> Row | Bad:
        self._number += 1
        row_id = f"{self._file.name}:{self._number}"
        if values is None:
            line = self._window.line + self._window.data.count(b"\n", 0, at)
            found = self._window.data[at : min(end, at + 60)].decode("utf-8", "replace")
            return Bad(row_id, "", "literals (text, numbers, NULL)", f"{found} on line {line:,}")
        if len(values) != len(columns):
            return Bad(row_id, "", f"{len(columns)} values ({', '.join(columns)})", f"{len(values)}")
        if UnicodeDecodeError in map(type, values):
            return _broken_text(row_id, columns, values)
        return Row(row_id, dict(zip(columns, values, strict=True)))

    def _copied(self, columns: list[str], wanted: bool) -> Iterator[Row | Bad]:
        r"""The lines of a COPY block up to ``\.``; at the end the window stands behind it."""
        window = self._window
        while True:
            end = _COPY_END.search(window.data)
            cut = end.start() if end else window.data.rfind(b"\n") + 1
            if cut and wanted:
                yield from self._copied_rows(columns, window.data[:cut])
            window.drop(end.end() if end else cut)
            if end:
                return
            if len(window.data) > LONGEST_ROW_BYTES or not window.grow():
                raise window.fault("a whole line, and \\. behind the last one")

    def _copied_rows(self, columns: list[str], block: bytes) -> Iterator[Row | Bad]:
        offset = self._window.offset
        try:
            lines: list[str | Bad] = list(to_text(block, self._progress).split("\n"))
        except UnicodeDecodeError:
            lines = []
            for raw in block.split(b"\n"):
                lines.append(decode(raw, offset, "", self._progress))
                offset += len(raw) + 1
        for line in lines[:-1]:
            self._number += 1
            row_id = f"{self._file.name}:{self._number}"
            if isinstance(line, Bad):
                yield Bad(row_id, "", line.expected, line.found)
                continue
            cells: list[str | None] = list(line.split("\t"))
            if "\\" in line:
                cells = [cell if cell is None or "\\" not in cell else copied_value(cell) for cell in cells]
            if len(cells) == len(columns):
                yield Row(row_id, dict(zip(columns, cells, strict=True)))
            else:
                yield Bad(row_id, "", f"{len(columns)} values ({', '.join(columns)})", f"{len(cells)}")


def _broken_text(row_id: str, columns: list[str], values: list[Any]) -> Bad:
    pairs = zip(columns, values, strict=True)
    column, error = next((column, value) for column, value in pairs if isinstance(value, UnicodeDecodeError))
    fault = f"byte 0x{error.object[error.start]:02x} at byte {error.start:,} of the value ({error.reason})"
    return Bad(row_id, column, "UTF-8 text", fault)
