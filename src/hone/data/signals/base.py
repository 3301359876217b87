"""What a signal is: something that measures rows and never deletes one.

Two kinds. A :class:`Signal` looks at one row at a time. A :class:`CorpusSignal` needs the others too (duplicates):
it first makes a small sketch of each row, and then columns out of all sketches, so that texts are read once and never
held together. Both give one row of columns per input row, in the same order. Columns are named ``<signal>.<figure>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

SPAN = pa.struct([("kind", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
"""Evidence inside ``text``: what was found and where, in characters (code points)."""


@runtime_checkable
class Signal(Protocol):
    """Measures each row by itself."""

    @property
    def name(self) -> str:
        """Under which it is known; its columns begin with it."""
        ...

    @property
    def version(self) -> str:
        """Raised whenever the same text would give other columns: part of the cache key."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """JSON values that change the columns: part of the cache key."""
        ...

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Columns for a batch of the text table, one row each, in its order. Numbers, flags, words or spans."""
        ...


@runtime_checkable
class CorpusSignal(Protocol):
    """Measures rows in the light of the other rows."""

    @property
    def name(self) -> str:
        """Under which it is known; its columns begin with it."""
        ...

    @property
    def version(self) -> str:
        """Raised whenever the same text would give other columns: part of the cache key."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """As for :class:`Signal`."""
        ...

    def sketch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Small columns (hashes) for a batch of the text table. Cached per batch."""
        ...

    def columns(self, sketches: pa.Table) -> pa.Table:
        """Columns over all rows, in their order.

        Args:
            sketches: the columns of :meth:`sketch` for all rows, and ``row`` and ``split`` beside them. It may be
                mapped from disk: take what is needed, column by column.
        """
        ...
