"""Measuring once: signals over a text store, each cached by the content that it saw and by its parameters.

What is measured stays measured: the same text under the same parameters is read from Parquet, also by another data
version, and rules then decide on columns alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hone.data.signals.base import CorpusSignal, Signal
from hone.data.signals.scanned import measured as measured_together
from hone.data.store import Part, TextStore, ipc_bytes, read_ipc, read_part
from hone.data.workers import ordered_map
from hone.files import atomic_write, content_hash

AnySignal = Signal | CorpusSignal
OnProgress = Callable[[str, int, int], None]
"""Takes the stage's name, and characters done of all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Texts and what was measured of them.

    ``columns``: ``row``, ``source``, ``split``, ``label`` and every signal's columns, one row per row of ``store`` and
    in its order. ``signals``: name to version and parameters, as recorded. ``fresh``: parts times signals computed now
    (the others came from the cache). ``seconds`` of wall time by stage.
    """

    store: TextStore
    columns: pa.Table
    signals: dict[str, dict[str, Any]]
    fresh: int
    seconds: dict[str, float]


def measure(
    store: TextStore,
    signals: Sequence[AnySignal],
    cache: Path,
    *,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> Measured:
    """Measure a store.

    Args:
        store: the texts.
        signals: each name once.
        cache: folder of measurements; anything in it may be deleted at any time.
        workers: processes for what looks at one row at a time; they change nothing but the time.
        on_progress: told after each part and each corpus signal.
    """
    tell = on_progress or (lambda stage, done, total: None)
    begin = time.monotonic()
    work = partial(_measure_part, folder=store.folder, signals=tuple(signals), cache=cache)
    fresh, done = 0, 0
    tell("measuring", 0, store.chars)
    for part, count in zip(store.parts, ordered_map(work, store.parts, workers), strict=True):
        fresh += count
        done += part.chars
        tell("measuring", done, store.chars)
    seconds = {"measuring": time.monotonic() - begin}
    columns = {name: store.rows.column(name) for name in store.rows.column_names}
    for signal in signals:
        begin = time.monotonic()
        table = _gathered(signal, store, cache)
        columns.update({name: table.column(name) for name in table.column_names})
        seconds[signal.name] = time.monotonic() - begin
    return Measured(
        store=store,
        columns=pa.table(columns),
        signals={signal.name: {"version": signal.version, **signal.params} for signal in signals},
        fresh=fresh,
        seconds=seconds,
    )


def signal_key(signal: AnySignal) -> str:
    """Name and 12 hex digits that stand for a signal's version and parameters."""
    return f"{signal.name}-{content_hash([signal.version, dict(signal.params)])}"


def _measure_part(part: Part, *, folder: Path, signals: Sequence[AnySignal], cache: Path) -> int:
    """Measure one part with the signals that have not seen it; how many those were."""
    missing = [signal for signal in signals if not _path(signal, part, cache).is_file()]
    if missing:
        batch = read_part(folder, part)
        alone = [signal for signal in missing if not isinstance(signal, CorpusSignal)]
        for signal, columns in zip(alone, measured_together(alone, batch), strict=True):
            _write_parquet(pa.Table.from_batches([columns]), _path(signal, part, cache))
        for signal in missing:
            if isinstance(signal, CorpusSignal):
                atomic_write(_path(signal, part, cache), ipc_bytes(signal.sketch(batch)))
    return len(missing)


def _path(signal: AnySignal, part: Part, cache: Path) -> Path:
    # A sketch is mapped and never decoded, so it is Arrow; columns are small and kept, so they are Parquet.
    kind = "arrow" if isinstance(signal, CorpusSignal) else "parquet"
    return cache / "signals" / signal_key(signal) / f"{part.content}.{kind}"


def _gathered(signal: AnySignal, store: TextStore, cache: Path) -> pa.Table:
    if not store.parts:
        return pa.table({})
    if not isinstance(signal, CorpusSignal):
        tables = [pq.read_table(_path(signal, part, cache)) for part in store.parts]
        return pa.concat_tables(tables, promote_options="permissive")
    # Columns of a corpus signal name rows, so the ids of the rows belong to the key.
    whole = content_hash([part.identity for part in store.parts], 32)
    path = cache / "signals" / signal_key(signal) / f"all-{whole}.parquet"
    if not path.is_file():
        _write_parquet(signal.columns(sketches_of(signal, store, cache)), path)
    return pq.read_table(path)


def sketches_of(signal: CorpusSignal, store: TextStore, cache: Path) -> pa.Table:
    """The sketches of all rows, mapped from disk, with ``row``, ``split`` and ``source`` beside them."""
    sketches = pa.Table.from_batches([read_ipc(_path(signal, part, cache)) for part in store.parts])
    for name in ("row", "split", "source"):
        if name not in sketches.column_names:
            sketches = sketches.append_column(name, store.rows.column(name))
    return sketches


def _write_parquet(table: pa.Table, path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    atomic_write(path, sink.getvalue().to_pybytes())
