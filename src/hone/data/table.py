"""The text table: what signals measure, as Arrow batches of bounded size.

A batch holds whole rows, at most :data:`BATCH_ROWS` of them and about :data:`BATCH_CHARS` characters. Where batches
end depends on the rows alone, never on the number of workers, so that a batch's content hash is a cache key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

BATCH_ROWS = 20_000
BATCH_CHARS = 8_000_000

TEXT_TABLE = pa.schema(
    [
        ("row", pa.large_string()),  # id of the source row, unique
        ("source", pa.large_string()),  # file or table that it was read from
        ("split", pa.large_string()),  # train, dev, test or ood
        ("text", pa.large_string()),  # what signals measure: all text of the row, after the transforms
        ("input", pa.large_string()),  # the prompt alone; the text itself where there is no answer
        ("answer", pa.large_string()),  # null where there is none
        ("label", pa.large_string()),  # null unless the task is a classification
        ("fields", pa.large_string()),  # canonical JSON of the row's columns, after the transforms
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRow:
    """One row of the text table; the names are those of its columns."""

    row: str
    source: str
    split: str
    text: str
    input: str
    answer: str | None
    label: str | None
    fields: str


def batches(rows: Iterable[TextRow]) -> Iterator[pa.RecordBatch]:
    """Gather rows into batches of the text table."""
    held: list[TextRow] = []
    chars = 0
    for row in rows:
        if held and (len(held) >= BATCH_ROWS or chars + len(row.text) > BATCH_CHARS):
            yield text_batch(held)
            held, chars = [], 0
        held.append(row)
        chars += len(row.text)
    if held:
        yield text_batch(held)


def text_batch(rows: Sequence[TextRow]) -> pa.RecordBatch:
    """One batch of the text table. A lone surrogate cannot be stored; readers refuse it before this."""
    columns = [pa.array([getattr(row, name) for row in rows], pa.large_string()) for name in TEXT_TABLE.names]
    return pa.RecordBatch.from_arrays(columns, schema=TEXT_TABLE)


def texts(batch: pa.RecordBatch, column: str = "text") -> list[str]:
    """A text column as Python strings; a null is the empty text."""
    return [text or "" for text in batch.column(column).to_pylist()]


def batch_hash(batch: pa.RecordBatch, columns: Sequence[str] = ("text", "input", "answer", "label", "split")) -> str:
    """32 hex digits over the content of some columns: the cache key of what is measured on them."""
    digest = hashlib.blake2b(digest_size=16)
    for name in columns:
        column: Any = batch.column(name)
        column = pa.concat_arrays([column])  # a slice starts at its parent's offset; the copy starts at 0
        digest.update(f"{name}:{len(column)}:{column.null_count};".encode())
        for buffer in column.buffers():
            digest.update(b"" if buffer is None else memoryview(buffer))
    return digest.hexdigest()
