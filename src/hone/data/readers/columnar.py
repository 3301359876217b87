"""Parquet, Arrow files and streams, and folders that `datasets` saved, some thousand rows at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hone.data.readers.arrow_values import repeated_names, rows_of
from hone.data.readers.opening import DataFile, on_disk
from hone.data.readers.plain_values import PlainValues
from hone.data.readers.progress import Progress
from hone.data.rows import Bad, Row
from hone.errors import InputError, nearest

_BATCH_ROWS = 4096
_BUFFER_BYTES = 1 << 20


def read_parquet(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """Rows of a Parquet file, in batches; ids count them from 1."""
    import pyarrow
    from pyarrow import parquet

    plain = PlainValues(progress)
    with on_disk(file) as path:
        try:
            # A buffer makes Arrow read column chunks piece by piece, and one thread keeps one arena of memory.
            with parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False, memory_map=False) as table:
                _check_names(file, table.schema_arrow)
                num_rows, done = table.metadata.num_rows, 0
                for batch in table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                    yield from rows_of(batch, file.name, done, plain)
                    done += len(batch)
                    progress.at(file.size * done // max(num_rows, 1))
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{file}: not a whole Parquet file: {error}") from None
    progress.end_file(file.size)


def read_arrow(file: DataFile, progress: Progress, start: int = 0) -> Iterator[Row | Bad]:
    """Rows of an Arrow IPC file or stream; ids count them from ``start`` + 1."""
    import pyarrow

    plain = PlainValues(progress)
    with on_disk(file) as path:
        try:
            with pyarrow.OSFile(str(path), "rb") as handle:
                done = start
                for batch in _record_batches(handle):
                    if done == start:
                        _check_names(file, batch.schema)
                    for at in range(0, len(batch), _BATCH_ROWS):
                        part = batch.slice(at, _BATCH_ROWS)
                        yield from rows_of(part, file.name, done, plain)
                        done += len(part)
                    progress.at(handle.tell())
        except MemoryError:
            raise InputError(
                f"{file}: a record batch does not fit into memory; write the file in smaller batches"
            ) from None
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{file}: not a whole Arrow file: {error}") from None
    progress.end_file(file.size)


def _record_batches(handle: Any) -> Iterator[Any]:
    import pyarrow

    magic = handle.read(6)
    handle.seek(0)
    if magic == b"ARROW1":
        reader = pyarrow.ipc.open_file(handle)
        return (reader.get_batch(index) for index in range(reader.num_record_batches))
    return iter(pyarrow.ipc.open_stream(handle))


def _check_names(file: DataFile, schema: Any) -> None:
    if twice := repeated_names(schema):
        raise InputError([f'{file}: has the column "{name}" {times} times' for name, times in twice.items()])


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` saved this folder (``save_to_disk``)."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def read_saved_dataset(folder: Path, split: str, progress: Progress) -> Iterator[Row | Bad]:
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
    paths = [folder / part["filename"] for part in state["_data_files"]]
    progress.expect(sum(path.stat().st_size for path in paths if path.is_file()))
    for path in paths:
        size = path.stat().st_size if path.is_file() else 0
        for row in read_arrow(DataFile(name=folder.name, path=path, size=size), progress, number):
            number += 1
            yield row
