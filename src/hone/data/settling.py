"""Duplicates are judged among the rows that stay: no row leaves on behalf of one that leaves for another reason.

Rules are decided at once. Where a duplicate's survivor fails another rule, the duplicates are found again among the
rows that pass every other rule, from the sketches that are there; texts are not read. Near duplicates are judged among
the rows that exact ones leave. Rows that fail another rule keep what was measured of them among all rows, so that they
still carry every rule that they fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hone.data.measure import AnySignal, sketches_of
from hone.data.rules import Decisions, Mask, Rule, decide
from hone.data.signals.base import CorpusSignal
from hone.data.store import TextStore

DUPLICATES = ("exact", "near")
_POSITIONS = (".cluster", ".chain")
"""Columns whose values are positions of rows."""


def settle(
    columns: pa.Table, rules: Sequence[Rule], signals: Sequence[AnySignal], store: TextStore, cache: Path
) -> tuple[pa.Table, Decisions]:
    """Decide, with duplicates judged among the rows that every other rule keeps.

    Args:
        columns: everything that was measured.
        rules: of the plan.
        signals: that were measured; those of duplicates are asked again where it matters.
        store: the texts, for their ids and sketches alone.
        cache: of the measurements.

    Returns:
        The columns, with those of duplicates as they were settled, and the decisions over them.
    """
    decisions = decide(columns, rules)
    if not any(_is_of_duplicates(rule) for rule in rules):
        return columns, decisions
    left = np.zeros(columns.num_rows, bool)
    for rule in rules:
        if not _is_of_duplicates(rule):
            left |= decisions.failed[rule.name]
    found = {signal.name: signal for signal in signals if isinstance(signal, CorpusSignal)}
    for name in DUPLICATES:
        if name in found and _leads_astray(columns, name, left):
            columns = _settled(columns, found[name], ~left, store, cache)
    decisions = decide(columns, rules)
    # The two may choose survivors in different ways: then each would remove what the other one keeps.
    exact, near = DUPLICATES
    for rule in rules:
        if rule.signal == exact:
            left |= decisions.failed[rule.name]
    if any(rule.signal == near for rule in rules) and _leads_astray(columns, near, left):
        columns = _settled(columns, found[near], ~left, store, cache)
        decisions = decide(columns, rules)
    return columns, decisions


def _is_of_duplicates(rule: Rule) -> bool:
    return rule.signal in DUPLICATES


def _leads_astray(columns: pa.Table, name: str, left: Mask) -> bool:
    """Whether a row that is there has a survivor that has left."""
    survivor = _numbers(columns.column(f"{name}.cluster"))
    removed = np.asarray(columns.column(f"{name}.survivor").is_valid().to_numpy(), bool)
    rows = np.flatnonzero(removed & ~left & (survivor >= 0))
    return bool(left[survivor[rows]].any())


def _settled(columns: pa.Table, signal: CorpusSignal, stay: Mask, store: TextStore, cache: Path) -> pa.Table:
    """The columns with a signal's own measured anew among the rows that stay."""
    places = np.flatnonzero(stay)
    found = signal.columns(sketches_of(signal, store, cache, columns).take(pa.array(places)))
    back = np.full(columns.num_rows, -1, np.int64)
    back[places] = np.arange(len(places))
    index = pa.array(np.maximum(back, 0), mask=back < 0)
    mask = pa.array(stay)
    for name in found.column_names:
        fresh = found.column(name)
        if name.endswith(_POSITIONS):
            local = _numbers(fresh)
            fresh = pa.chunked_array([pa.array(places[np.maximum(local, 0)], pa.int64(), mask=local < 0)])
        old = columns.column(name)
        new = pc.if_else(mask, fresh.take(index).cast(old.type), old)
        columns = columns.set_column(columns.column_names.index(name), name, new)
    return columns


def _numbers(column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(column.fill_null(-1).to_numpy(), np.int64)
