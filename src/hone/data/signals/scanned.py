"""Signals that read the same scan of a text: asked for together, they split it into words once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.scan import Scan
from hone.data.kernels.words import SPLITTERS
from hone.data.signals.base import Signal
from hone.data.table import TextRow, text_batch, texts
from hone.errors import InputError, nearest

Figures = Mapping[str, Any]
"""Column name to N values: a NumPy array (not a number means null) or an Arrow array."""


@dataclass(frozen=True, kw_only=True)
class ScannedSignal(ABC):
    """A signal whose figures come from one :class:`~hone.data.kernels.scan.Scan`. Its fields are its parameters."""

    name: ClassVar[str]
    version: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # as YAML and JSON give it
                object.__setattr__(self, field.name, tuple(value))
            if field.name == "splitter" and value not in SPLITTERS:
                raise InputError(
                    f'{self.name}: no word splitter "{value}"; {nearest(value, list(SPLITTERS))} '
                    f"(there are {', '.join(SPLITTERS)})"
                )

    @property
    def params(self) -> Mapping[str, Any]:
        """The fields, as JSON values."""
        return asdict(self)

    @abstractmethod
    def figures(self, scan: Scan) -> Figures:
        """Figures of the texts of one piece."""

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """This signal's columns for a batch of the text table."""
        return measured((self,), rows)[0]


def measured(signals: Sequence[Signal], rows: pa.RecordBatch) -> list[pa.RecordBatch]:
    """The columns of each of some signals for one batch; scanned ones share one scan of its texts.

    Use this instead of calling each signal's ``columns``: the results are the same and the words are split once.
    """
    scanned = [signal for signal in signals if isinstance(signal, ScannedSignal)]
    shared = iter(_scanned(scanned, rows))
    return [next(shared) if isinstance(signal, ScannedSignal) else signal.columns(rows) for signal in signals]


def _scanned(signals: Sequence[ScannedSignal], rows: pa.RecordBatch) -> list[pa.RecordBatch]:
    found: list[list[Figures]] = [[] for _ in signals]
    for piece in pieces(texts(rows)) if rows.num_rows and signals else ():
        scan = Scan(piece, rows)
        for held, signal in zip(found, signals, strict=True):
            held.append(signal.figures(scan))
    if not rows.num_rows:
        found = [[_of_nothing(signal)] for signal in signals]
    return [_joined(held) for held in found]


@dataclass(frozen=True, kw_only=True)
class TextSignals:
    """Several scanned signals as one: all their columns side by side."""

    signals: tuple[ScannedSignal, ...]
    name: ClassVar[str] = "text"
    version: ClassVar[str] = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        """Version and parameters of each signal, by its name."""
        return {signal.name: {"version": signal.version, **signal.params} for signal in self.signals}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The columns of all signals, in their order."""
        batches = measured(self.signals, rows)
        names = [name for batch in batches for name in batch.schema.names]
        return pa.RecordBatch.from_arrays([column for batch in batches for column in batch.columns], names=names)


def _of_nothing(signal: ScannedSignal) -> Figures:
    """Empty columns of the right types: those of one empty text, cut to none."""
    row = TextRow(row="", source="", split="", text="", input="", answer=None, label=None, fields="{}")
    (piece,) = pieces([""])
    return {name: _array(values)[:0] for name, values in signal.figures(Scan(piece, text_batch([row]))).items()}


def _joined(parts: Sequence[Figures]) -> pa.RecordBatch:
    columns = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        if isinstance(values[0], np.ndarray):
            columns[name] = _array(np.concatenate(values))
        else:
            columns[name] = pa.concat_arrays([_array(value) for value in values])
    return pa.RecordBatch.from_pydict(columns)


def _array(values: Any) -> Any:
    """An Arrow array; not a number becomes null, counts become int32 and shares float32."""
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind == "f":
        return pa.array(values.astype(np.float32), from_pandas=True)
    if values.dtype.kind in "iu":
        return pa.array(np.minimum(values, np.iinfo(np.int32).max).astype(np.int32))
    return pa.array(values)
