"""Tables of an SQLite file, opened for reading only."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hone.data.readers.opening import DataFile, on_disk
from hone.data.readers.plain_values import PlainValues
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row
from hone.errors import InputError, nearest

_FETCHED_ROWS = 1000
_PAGE_SIZE_AT = 16  # two bytes, of which 1 says 65,536: https://www.sqlite.org/fileformat.html


class _NotText(str):
    """Bytes of a text column that are not UTF-8, to be named with their row."""

    __slots__ = ("fault",)
    fault: str


def read_sqlite(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """Rows of the table that the source names (``rows.db:table``), or of the only one; ids count them from 1.

    Raises:
        InputError: for several tables without a name (listing them), an unknown name, a damaged file.
    """
    with on_disk(file) as path:
        _check_whole(file, path)
        try:
            address = f"file:{quote(str(path.absolute()))}?mode=ro"
            with closing(sqlite3.connect(address, uri=True)) as database:
                table = _table(file, database)
                database.text_factory = _text
                quoted = table.replace('"', '""')
                yield from _rows(file, database, quoted, progress)
        except sqlite3.Error as error:
            raise InputError(f"{file}: SQLite cannot read it: {error}") from None
    progress.end_file(file.size)


def _check_whole(file: DataFile, path: Path) -> None:
    """SQLite takes zeros for what a last page lacks, and rows of it change or go without a word."""
    with path.open("rb") as handle:
        head = handle.read(_PAGE_SIZE_AT + 2)
    page_bytes = int.from_bytes(head[_PAGE_SIZE_AT:], "big")
    page_bytes = 1 << 16 if page_bytes == 1 else page_bytes
    size = path.stat().st_size
    if page_bytes and size % page_bytes:
        raise InputError(f"{file}: is cut off: {size:,} bytes are no whole number of its pages of {page_bytes:,} bytes")


def _table(file: DataFile, database: sqlite3.Connection) -> str:
    found = database.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    names = sorted(name for (name,) in found)
    if file.part:
        if file.part not in names:
            raise InputError(f'{file}: has no table "{file.part}"; {nearest(file.part, names)}')
        return file.part
    if len(names) != 1:
        listed = f"{len(names)} tables ({', '.join(names)}); name one after a colon: {file.name}:{names[0]}"
        raise InputError(f"{file}: has {listed if names else 'no table'}")
    return str(names[0])


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        broken = _NotText(raw.decode("utf-8", "replace"))
        broken.fault = f"byte 0x{raw[error.start]:02x} at byte {error.start:,} of the value ({error.reason})"
        return broken


def _rows(file: DataFile, database: sqlite3.Connection, table: str, progress: Progress) -> Iterator[Row | Bad]:
    most = _about(database, table)
    cursor = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name that the file has, its quotes doubled
    names = [column[0] for column in cursor.description]
    number, plain = 0, PlainValues(progress)
    while records := cursor.fetchmany(_FETCHED_ROWS):
        for values in records:
            number += 1
            row_id = f"{file.name}:{number}"
            broken = _broken(names, values) if _NotText in map(type, values) else None
            if broken is not None:
                yield Bad(row_id, broken[0], "UTF-8 text", broken[1])
            else:
                yield plain.row(row_id, names, values)
        progress.at(file.size * min(number, most) // most)


def _about(database: sqlite3.Connection, table: str) -> int:
    """About how many rows the table has: its largest row number, which SQLite knows at once; views have none."""
    try:
        return int(database.execute(f'SELECT max(rowid) FROM "{table}"').fetchone()[0] or 1)  # noqa: S608 - as above
    except sqlite3.Error:
        return sys.maxsize


def _broken(names: list[str], values: tuple[Any, ...]) -> tuple[str, str]:
    return next((name, value.fault) for name, value in zip(names, values, strict=True) if type(value) is _NotText)
