"""From a source to rows: files, folders, globs, stores, databases, datasets, Python iterables. Everything streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hone.data.readers import (
    columnar,
    delimited,
    hub,
    json_arrays,
    json_lines,
    query,
    sql_dump,
    sqlite_file,
    text,
    warc,
)
from hone.data.readers.contents import SQLITE, plain_suffix
from hone.data.readers.finding import Found, find
from hone.data.readers.opening import DataFile
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row, kind_of

__all__ = ["Found", "Progress", "find", "read"]

Source = str | Path | Found | Iterable[Mapping[str, Any]]
Reader = Callable[[DataFile, Progress], Iterator[Row | Bad]]

_READERS: dict[str, Reader] = {
    **dict.fromkeys((".jsonl", ".ndjson"), json_lines.read_lines),
    ".json": json_arrays.read_json,
    ".csv": delimited.read_csv,
    ".tsv": delimited.read_tsv,
    ".parquet": columnar.read_parquet,
    **dict.fromkeys((".arrow", ".feather"), columnar.read_arrow),
    **dict.fromkeys((".txt", ".text", ".md", ".markdown"), text.read_text),
    **dict.fromkeys((".html", ".htm", ".xhtml"), text.read_page),
    **dict.fromkeys((".warc", ".wet"), warc.read_warc),
    ".sql": sql_dump.read_sql,
    **dict.fromkeys(SQLITE, sqlite_file.read_sqlite),
}


def read(source: Source, base: Path, prefix: str = "", progress: Progress | None = None) -> Iterator[Row | Bad]:
    """Stream the rows of a source.

    Args:
        source: whatever :func:`find` takes or gives, or an iterable of dicts.
        base: the task folder.
        prefix: put before every id, to tell two files of one name apart.
        progress: counts bytes and takes notes.

    Raises:
        InputError: the source is missing, damaged or of an unknown format. A bad *row* is yielded as
            :class:`Bad` instead, so that the caller can gather all of them.
    """
    rows = _read(source, base, progress or Progress())
    if not prefix:
        yield from rows
        return
    for row in rows:
        if isinstance(row, Row):
            yield Row(prefix + row.id, row.fields)
        else:
            yield Bad(prefix + row.id, row.field, row.expected, row.found)


def _read(source: Source, base: Path, progress: Progress) -> Iterator[Row | Bad]:
    if not isinstance(source, str | Path | Found):
        yield from _from_iterable(source)
        return
    found = source if isinstance(source, Found) else find(source, base)
    if found.hub:
        yield from hub.read_hub(found.hub, progress)
    elif found.query is not None:
        yield from query.read_query(found.query, progress)
    elif found.saved is not None:
        yield from columnar.read_saved_dataset(found.saved, found.split, progress)
    progress.expect(sum(file.size for file in found.files))
    for file in found.files:
        if file.size == 0 and file.path is not None:
            progress.note(f"{file} is empty (0 bytes)")
            continue
        row: Row | Bad | None = None
        for row in _READERS[plain_suffix(file.stored_name)](file, progress):
            yield row
        if row is None:
            progress.note(f"{file} holds no rows")


def _from_iterable(source: Iterable[Any]) -> Iterator[Row | Bad]:
    for number, fields in enumerate(source, 1):
        row_id = f"rows:{number}"
        if isinstance(fields, Mapping):
            yield Row(row_id, dict(fields))
        else:
            yield Bad(row_id, "", "a dict with one key per column", kind_of(fields))
