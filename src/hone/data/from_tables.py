"""Tables: CSV and TSV with a header line, Parquet, Arrow files, and folders that `datasets` saved."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hone.data.opening import decode, lines
from hone.data.rows import Bad, Row
from hone.errors import InputError, nearest

_DELIMITERS = (",", ";", "\t", "|")


def read_csv(path: Path, name: str, delimiter: str = "") -> Iterator[Row | Bad]:
    """Rows of a CSV file; every value is text. Ids are the line on which the record starts.

    Without ``delimiter`` it is the one of comma, semicolon, tab and bar that the header has most of.

    Raises:
        InputError: for a header that is missing, has an empty name, or names a column twice.
    """
    csv.field_size_limit(sys.maxsize)
    source = _Decoded(path, name)
    header_line = next(source, "")
    delimiter = delimiter or max(_DELIMITERS, key=header_line.count)
    header = next(csv.reader([header_line], delimiter=delimiter), [])
    _check_header(header, path, source)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        row_id = f"{name}:{source.number + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Bad(row_id, "", "a CSV record with closed quotes", str(error))
            continue
        fault, source.fault = source.fault, None
        if cells is None:
            return
        if fault is not None:
            yield Bad(row_id, "", fault.expected, fault.found)
        elif len(cells) == len(header):
            yield Row(row_id, dict(zip(header, cells, strict=True)))
        elif cells:
            found = f"{len(cells)} ({delimiter!r} between them)"
            yield Bad(row_id, "", f"{len(header)} cells ({', '.join(header)})", found)


def _check_header(header: list[str], path: Path, source: _Decoded) -> None:
    if source.fault is not None:
        raise InputError(f"{path}:1: expected {source.fault.expected}, found {source.fault.found}")
    problems = [
        f"{path}:1: column {i} has no name in the header line" for i, c in enumerate(header, 1) if not c.strip()
    ]
    twice = sorted({column for column in header if header.count(column) > 1})
    problems += [f'{path}:1: the header names the column "{column}" {header.count(column)} times' for column in twice]
    if problems:
        raise InputError(problems)


class _Decoded(Iterator[str]):
    """Lines of a file as text; remembers the line number and the first line that is not UTF-8."""

    def __init__(self, path: Path, name: str) -> None:
        self.number = 0
        self.fault: Bad | None = None
        self._lines = lines(path)
        self._name = name

    def __next__(self) -> str:
        self.number, offset, raw = next(self._lines)
        text = decode(raw, offset, f"{self._name}:{self.number}")
        if isinstance(text, Bad):
            self.fault = self.fault or text
            return raw.decode("utf-8", "replace")
        return text


def read_parquet(path: Path, name: str) -> Iterator[Row | Bad]:
    """Rows of a Parquet file, in batches; ids count them from 1."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield from _batches(file.iter_batches(batch_size=4096), name, 0)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file: {error}") from None


def read_arrow(path: Path, name: str, start: int = 0) -> Iterator[Row | Bad]:
    """Rows of an Arrow IPC file or stream; ids count them from ``start`` + 1."""
    import pyarrow

    try:
        with pyarrow.OSFile(str(path), "rb") as handle:
            magic = handle.read(6)
            handle.seek(0)
            if magic == b"ARROW1":
                file = pyarrow.ipc.open_file(handle)
                source = (file.get_batch(index) for index in range(file.num_record_batches))
            else:
                source = iter(pyarrow.ipc.open_stream(handle))
            yield from _batches(source, name, start)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Arrow file: {error}") from None


def _batches(batches: Iterator[Any], name: str, start: int) -> Iterator[Row | Bad]:
    number = start
    for batch in batches:
        for fields in batch.to_pylist():
            number += 1
            yield Row(f"{name}:{number}", fields)


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` saved this folder (``save_to_disk``)."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def read_saved_dataset(folder: Path, split: str = "") -> Iterator[Row | Bad]:
    """Rows of a folder that `datasets` saved, read with Arrow alone.

    Raises:
        InputError: when it holds several splits and ``split`` is none of them.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        wanted = split or ("train" if "train" in splits else "")
        if wanted not in splits:
            raise InputError(f'{folder}: has no split "{wanted}"; {nearest(wanted, splits)}')
        folder = folder / wanted
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if state.get("_indices_data_files"):
        raise InputError(f"{folder}: saved with an index mapping; save it again after flatten_indices()")
    number = 0
    for file in state["_data_files"]:
        for row in read_arrow(folder / file["filename"], folder.name, number):
            number += 1
            yield row
