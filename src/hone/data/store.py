"""Texts on disk: one Arrow file for each batch of the text table, named by its content, mapped when read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.table import TEXT_TABLE, batch_hash
from hone.files import atomic_write

BROKEN = (pa.ArrowException, OSError)
"""What reading a file raises that is cut off, empty, garbled or gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One batch on disk.

    ``content`` is the hash of what signals see; two batches of equal content share their measurements. ``identity`` is
    the hash of every column, row ids included, and names the file. ``mended``: a file of that name was broken (cut off
    by a full disk, say) and was written again; it says nothing about the content.
    """

    content: str
    identity: str
    rows: int
    chars: int
    mended: bool = field(default=False, compare=False)


class TextStore:
    """The text table of some data, as parts in a folder. Nothing is held in memory; what is read is mapped."""

    def __init__(self, folder: Path, parts: Sequence[Part]) -> None:
        self.folder = folder
        self.parts = tuple(parts)

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch], folder: Path) -> TextStore:
        """Write batches and return the store of them."""
        return cls(folder, [write_part(batch, folder) for batch in batches])

    @property
    def num_rows(self) -> int:
        """Rows in all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def chars(self) -> int:
        """Characters of ``text`` in all parts."""
        return sum(part.chars for part in self.parts)

    @cached_property
    def starts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(parts + 1,) position of the first row of each part."""
        return np.concatenate([[0], np.cumsum([part.rows for part in self.parts])]).astype(np.int64)

    def has_all(self) -> bool:
        """Whether every part is still on disk, and can be read."""
        return all(is_whole(part_path(self.folder, part), part.rows) for part in self.parts)

    def batch(self, index: int) -> pa.RecordBatch:
        """One part, mapped from disk."""
        return read_part(self.folder, self.parts[index])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All parts in order, each mapped from disk."""
        for index in range(len(self.parts)):
            yield self.batch(index)

    def take(self, positions: Sequence[int] | np.ndarray[Any, Any]) -> pa.RecordBatch:
        """Rows of the text table by position, in the order asked for; only they are read."""
        wanted = np.asarray(positions, np.int64)
        if not len(wanted):
            return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in TEXT_TABLE], schema=TEXT_TABLE)
        order = np.argsort(wanted, kind="stable")
        part_of = np.searchsorted(self.starts, wanted[order], side="right") - 1
        taken = []
        for index in np.unique(part_of):
            local = wanted[order][part_of == index] - self.starts[index]
            taken.append(self.batch(int(index)).take(pa.array(local)))
        back = np.empty(len(wanted), np.int64)
        back[order] = np.arange(len(wanted))
        joined = pa.Table.from_batches(taken).combine_chunks().take(pa.array(back))
        return joined.combine_chunks().to_batches()[0]

    @cached_property
    def rows(self) -> pa.Table:
        """``row``, ``source``, ``split`` and ``label`` of all rows; texts are not read."""
        names = ["row", "source", "split", "label"]
        if not self.parts:
            return pa.table({name: pa.array([], pa.large_string()) for name in names})
        return pa.Table.from_batches([batch.select(names) for batch in self.batches()])


def part_path(folder: Path, part: Part) -> Path:
    """Where a part lies."""
    return folder / "text" / f"{part.identity}.arrow"


def write_part(batch: pa.RecordBatch, folder: Path) -> Part:
    """Write one batch of the text table, unless it is there and can be read."""
    import pyarrow.compute as pc

    chars = pc.sum(pc.utf8_length(batch.column("text"))).as_py() or 0
    part = Part(
        content=batch_hash(batch), identity=batch_hash(batch, TEXT_TABLE.names), rows=batch.num_rows, chars=chars
    )
    path = part_path(folder, part)
    if is_whole(path, part.rows):
        return part
    part = replace(part, mended=path.is_file())
    atomic_write(path, ipc_bytes(batch))
    return part


def read_part(folder: Path, part: Part) -> pa.RecordBatch:
    """One part, mapped from disk."""
    return read_ipc(part_path(folder, part))


def is_whole(path: Path, num_rows: int) -> bool:
    """Whether an Arrow file is there, has its end, and holds so many rows."""
    try:
        return bool(read_ipc(path).num_rows == num_rows)
    except BROKEN:
        return False


def ipc_bytes(batch: pa.RecordBatch) -> bytes:
    """A batch as an Arrow file, uncompressed so that it can be mapped."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def read_ipc(path: Path) -> pa.RecordBatch:
    """The one batch of an Arrow file, mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
