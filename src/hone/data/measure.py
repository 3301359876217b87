"""Measuring once: signals over a text store, each cached by the content that it saw and by its parameters.

What is measured stays measured: the same text under the same parameters is read from Parquet, also by another data
version, and rules then decide on columns alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hone.data.signals.base import CorpusSignal, Signal
from hone.data.signals.scanned import measured as measured_together
from hone.data.store import BROKEN, Part, TextStore, ipc_bytes, read_ipc, read_part
from hone.data.workers import ordered_map
from hone.errors import InputError, nearest
from hone.files import atomic_write, content_hash

AnySignal = Signal | CorpusSignal
OnProgress = Callable[[str, int, int], None]
"""Takes the stage's name, and what is done of all: characters for ``measuring``, rows for a signal's own stage."""

_KIND_NAMES = {pa.float64(): "numbers", pa.int64(): "whole numbers", pa.bool_(): "flags", pa.string(): "words"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Texts and what was measured of them.

    ``columns``: ``row``, ``source``, ``split``, ``label`` and every signal's columns, one row per row of ``store`` and
    in its order. ``signals``: name to version and parameters, as recorded. ``fresh``: parts times signals computed now
    (the others came from the cache). ``mended``: files of the cache that were broken and were made again. ``seconds``
    of wall time by stage.
    """

    store: TextStore
    columns: pa.Table
    signals: dict[str, dict[str, Any]]
    fresh: int
    seconds: dict[str, float]
    mended: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say about the cache; nothing as a rule."""
        if not self.mended:
            return ()
        files = "1 file was broken and was" if self.mended == 1 else f"{self.mended:,} files were broken and were"
        return (f"cache: {files} made again; figures are as if nothing had happened, but see to the disk",)


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
        cache: folder of measurements; anything in it may be deleted at any time, and what is broken is made again.
        workers: processes for what looks at one row at a time; they change nothing but the time.
        on_progress: told the stage ``measuring`` before the first part and after each, in characters; then, for each
            corpus signal, a stage of its name before it compares the rows (0 of all) and after.

    Raises:
        FailedError: a worker died, or the disk refuses.
        InputError: a user's function failed, or gave values of two kinds; signals go by columns of each other.
    """
    tell = on_progress or (lambda stage, done, total: None)
    turns = _in_turn(signals)
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
    reading = _Reading(store=store, cache=cache)
    tables: dict[str, pa.Table] = {}
    keys: dict[str, str] = {}
    # What another signal goes by is gathered before it; the columns stand in the order of the signals all the same.
    for signal in turns:
        begin = time.monotonic()
        beside = _beside(signal, tables, keys)
        keys[signal.name] = signal_key(signal) if beside is None else f"{signal_key(signal)} by {beside.key}"
        with_others = isinstance(signal, CorpusSignal)
        if with_others:
            tell(signal.name, 0, store.num_rows)
        tables[signal.name] = reading.gathered(signal, beside)
        if with_others:
            tell(signal.name, store.num_rows, store.num_rows)
        seconds[signal.name] = time.monotonic() - begin
    for signal in signals:
        columns.update({name: tables[signal.name].column(name) for name in tables[signal.name].column_names})
    return Measured(
        store=store,
        columns=pa.table(columns),
        signals={signal.name: {"version": signal.version, **signal.params} for signal in signals},
        fresh=fresh,
        mended=reading.mended + sum(part.mended for part in store.parts),
        seconds=seconds,
    )


def column_beside(signal: AnySignal) -> str:
    """The column of another signal that a corpus signal goes by (``survivor: best``); empty as a rule."""
    return str(getattr(signal, "column", "")) if isinstance(signal, CorpusSignal) else ""


def _in_turn(signals: Sequence[AnySignal]) -> list[AnySignal]:
    """Signals such that each stands behind the one whose column it goes by."""
    waits = {signal.name: _owner(column_beside(signal), signals) for signal in signals}
    turns: list[AnySignal] = []
    left = list(signals)
    while left:
        names = {signal.name for signal in left}
        free = [signal for signal in left if waits[signal.name] not in names]
        if not free:
            raise InputError(_waiting(left, waits))
        turns += free
        left = [signal for signal in left if waits[signal.name] in names]
    return turns


def _owner(column: str, signals: Sequence[AnySignal]) -> str:
    """Name of the signal that a column is of; empty where it is of none of these."""
    return next((one.name for one in signals if column == one.name or column.startswith(f"{one.name}.")), "")


def _waiting(left: Sequence[AnySignal], waits: Mapping[str, str]) -> str:
    """A sentence on signals of which each goes by a column of the next, and the last by one of the first."""
    by_name = {signal.name: signal for signal in left}
    ring = [left[0].name]
    while waits[ring[-1]] not in ring:
        ring.append(waits[ring[-1]])
    del ring[: ring.index(waits[ring[-1]])]
    who = [f"clean.signals.{name} goes by {column_beside(by_name[name])}" for name in ring]
    why = "each waits for the other" if len(ring) > 1 else "which is measured only once it is settled"
    return f"{' and '.join(who)}: {why}; name a column that another signal measures, or leave survivor: best out of one"


def _beside(signal: AnySignal, tables: Mapping[str, pa.Table], keys: Mapping[str, str]) -> _Beside | None:
    wanted = column_beside(signal)
    if not wanted:
        return None
    for name, table in tables.items():
        if wanted in table.column_names:
            return _Beside(name=wanted, values=table.column(wanted), key=keys[name])
    known = [name for table in tables.values() for name in table.column_names]
    raise InputError(f'clean.signals.{signal.name}: no signal measures the column "{wanted}"; {nearest(wanted, known)}')


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Beside:
    """A column that another signal has measured of all rows, and what stands for how, with all that this goes by."""

    name: str
    values: pa.ChunkedArray
    key: str


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


@dataclass(kw_only=True)
class _Reading:
    """Columns out of the cache. A file that cannot be read, or is gone, is made again; broken ones are counted."""

    store: TextStore
    cache: Path
    mended: int = 0

    def gathered(self, signal: AnySignal, beside: _Beside | None = None) -> pa.Table:
        """A signal's columns for all rows; ``beside`` is the column of another one that it goes by."""
        if not self.store.parts:
            return pa.table({})
        if not isinstance(signal, CorpusSignal):
            tables = [self.part(signal, part) for part in self.store.parts]
            try:
                return pa.concat_tables(tables, promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                raise InputError(_two_kinds(signal, tables)) from None
        # Columns of a corpus signal name rows, so the ids of the rows belong to the key.
        known = [part.identity for part in self.store.parts]
        whole = content_hash(known if beside is None else [known, beside.key], 32)
        path = self.cache / "signals" / signal_key(signal) / f"all-{whole}.parquet"
        # Opened also where they are not needed now: who settles duplicates reads them next, and cannot say what broke.
        sketches = self.sketches(signal)
        if beside is not None:
            sketches = sketches.append_column(beside.name, beside.values)

        def make() -> None:
            _write_parquet(signal.columns(sketches), path)

        if not path.is_file():
            make()
        return self._whole(path, self.store.num_rows, make)

    def sketches(self, signal: CorpusSignal) -> pa.Table:
        """The sketches of all rows, mapped from disk, with ``row``, ``split`` and ``source`` beside them."""
        sketches = pa.concat_tables([self.part(signal, part) for part in self.store.parts])
        for name in ("row", "split", "source"):
            if name not in sketches.column_names:
                sketches = sketches.append_column(name, self.store.rows.column(name))
        return sketches

    def part(self, signal: AnySignal, part: Part) -> pa.Table:
        """A signal's columns, or its sketch, for one part."""
        again = partial(_measure_part, part, folder=self.store.folder, signals=(signal,), cache=self.cache)
        return self._whole(_path(signal, part, self.cache), part.rows, again)

    def _whole(self, path: Path, num_rows: int, make: Callable[[], object]) -> pa.Table:
        try:
            return _read(path, num_rows)
        except BROKEN:
            self.mended += path.is_file()
            path.unlink(missing_ok=True)
        make()
        return _read(path, num_rows)


def sketches_of(signal: CorpusSignal, store: TextStore, cache: Path, columns: pa.Table) -> pa.Table:
    """The sketches of all rows, mapped from disk, with what the signal goes by beside them.

    That is ``row``, ``split``, ``source``, and of ``columns``, all that was measured, the one that it names.
    """
    sketches = _Reading(store=store, cache=cache).sketches(signal)
    wanted = column_beside(signal)
    return sketches.append_column(wanted, columns.column(wanted)) if wanted else sketches


def _read(path: Path, num_rows: int) -> pa.Table:
    table = pa.Table.from_batches([read_ipc(path)]) if path.suffix == ".arrow" else pq.read_table(path)
    if table.num_rows != num_rows:
        raise pa.ArrowInvalid(f"{path}: {table.num_rows:,} rows where {num_rows:,} belong")
    return table


def _two_kinds(signal: AnySignal, tables: Sequence[pa.Table]) -> list[str]:
    """A sentence for each column that has not one type: only a user's own function can give such."""
    problems = []
    for name in tables[0].column_names:
        first: dict[pa.DataType, int] = {}
        row = 1
        for table in tables:
            kind = table.schema.field(name).type
            if not pa.types.is_null(kind):
                first.setdefault(kind, row)
            row += table.num_rows
        if len(first) > 1:
            kinds = " but ".join(f"{_KIND_NAMES.get(kind, kind)} from row {at:,} on" for kind, at in first.items())
            problems.append(
                f"{name} gives {kinds}: a column holds one kind; return one kind, or None, and annotate the function "
                "with it (-> float, -> bool, -> str), so that the first wrong row is named"
            )
    return problems or [f"{signal.name}: its columns differ from part to part"]


def _write_parquet(table: pa.Table, path: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    atomic_write(path, sink.getvalue().to_pybytes())
