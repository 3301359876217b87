"""Measured columns as arrays, each converted once, and what the report may know besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hone.data.looking.sampling import order_by_hash
from hone.task.spec import Clean

Numbers = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
MOST_HASHED = 100_000
"""With more rows than these a seeded order is a permutation of positions, which is faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LookOptions:
    """What a report is about and how much it may show."""

    title: str = "data"
    sensitive: bool = False
    """Show no text: no samples, no labels, no values of fields."""
    unsaid: frozenset[str] = frozenset()
    """Names of columns that may be values of a row, which a sensitive report shows by their place alone."""
    of: int | None = None
    """Rows that the sample was taken from; None where every row was measured."""
    seed: int = 0
    """Of everything that is chosen at random."""
    preset: str = ""
    """Name of the preset that the rules are from."""
    files: tuple[str, ...] = ()
    """What was read, as the person named it."""
    command: tuple[str, ...] = ("hone", "look")
    """The command of this look, which commands in the report repeat."""
    cleaning: tuple[str, ...] = ()
    """The command that cleans the same bare files; none for a task."""
    folder: str = ""
    """The task folder; "" for bare files."""
    section: Clean = field(default_factory=Clean)
    """The ``clean`` section that the rules are from."""
    is_pinned: bool = False
    """The section is that of an earlier version, which a look cannot add a rule to."""
    written: frozenset[str] = frozenset()
    """Keys that the task's ``hone.yaml`` has."""
    metric: str = ""
    """The task's metric; "" for bare files."""
    label_column: str = "label"
    """The rows' column that holds the label."""
    test: str = ""
    """The test that rows were compared with, as named; its rows are never shown."""
    test_labels: tuple[str, ...] = ()
    """Labels of the test, where there is one."""
    bad: tuple[tuple[str, str, str], ...] = ()
    """Rows that could not be read: id, expected, found."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """Transform to rows that it changed before anything was measured."""
    notes: tuple[str, ...] = ()
    """What was left out of cleaning, and why."""
    canaries: tuple[Mapping[str, Any], ...] = ()
    """The self-test of the search for test text: words of a planted text, and whether it was found."""
    tests: tuple[Mapping[str, Any], ...] = ()
    """For each test: how many of its rows these rows hold."""
    samples: int = 3
    """Rows shown on each side of a threshold."""
    clusters: int = 20
    """Groups of duplicates that can be browsed, of each kind."""
    listed: int = 25
    """Rows or values in any other list."""


class Figures:
    """The columns of a measured table by name."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.n = table.num_rows
        self._known = frozenset(table.column_names)
        self._numbers: dict[str, Numbers] = {}
        self._orders: dict[int, Codes] = {}

    def has(self, *names: str) -> bool:
        """Whether all of these columns were measured."""
        return self._known.issuperset(names)

    def named(self, prefix: str) -> list[str]:
        """Columns that begin so, in their order."""
        return [name for name in self.table.column_names if name.startswith(prefix)]

    def is_number(self, name: str) -> bool:
        """Whether a column holds numbers or flags."""
        kind = self.table.schema.field(name).type
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))

    def is_whole(self, name: str) -> bool:
        """Whether a column holds whole numbers."""
        return bool(pa.types.is_integer(self.table.schema.field(name).type))

    def is_flag(self, name: str) -> bool:
        """Whether a column holds flags."""
        return bool(pa.types.is_boolean(self.table.schema.field(name).type))

    def numbers(self, name: str) -> Numbers:
        """(N,) float64; a null is NaN, and so is what is not finite. Of a column that is not there every value is."""
        if name not in self._numbers:
            self._numbers[name] = self._converted(name)
        return self._numbers[name]

    def _converted(self, name: str) -> Numbers:
        if name not in self._known:
            return np.full(self.n, np.nan)
        column = self.table.column(name)
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    def flags(self, name: str) -> Flags:
        """(N,) bool: not null and not zero."""
        return np.asarray(np.nan_to_num(self.numbers(name)) != 0)

    def given(self, name: str) -> Flags:
        """(N,) bool: not null."""
        return np.asarray(self.table.column(name).is_valid().to_numpy(), bool)

    def words(self, name: str) -> list[str | None]:
        """A column of strings."""
        return [] if name not in self._known else list(_plain(self.table.column(name)).to_pylist())

    def word(self, name: str, position: int) -> str | None:
        """One value of a column of strings."""
        if name not in self._known:
            return None
        value = self.table.column(name)[position].as_py()
        return None if value is None else str(value)

    def spans(self, name: str, position: int) -> list[tuple[str, int, int]]:
        """The evidence of one row: kind, start, end in characters."""
        if name not in self._known:
            return []
        found = self.table.column(name)[position].as_py() or []
        return [(str(span["kind"] or ""), int(span["start"]), int(span["end"])) for span in found]

    def codes(self, name: str) -> tuple[Codes, list[str]]:
        """(N,) the number of each row's value (-1 for a null), and the values, the most frequent first."""
        values = [value for value, _ in self.counts(name)]
        if not values:
            return np.full(self.n, -1, np.int64), []
        found = pc.index_in(
            _plain(self.table.column(name)).cast(pa.large_string()), pa.array(values, pa.large_string())
        )
        return np.asarray(found.fill_null(-1).to_numpy(), np.int64), values

    def order(self, seed: int) -> Codes:
        """(N,) positions in a seeded order: by the hash of the row's id, where rows are not too many for that."""
        if seed not in self._orders:
            self._orders[seed] = self._order(seed)
        return self._orders[seed]

    def _order(self, seed: int) -> Codes:
        if self.n > MOST_HASHED:
            return np.random.default_rng(seed).permutation(self.n)
        return np.asarray(order_by_hash([name or "" for name in self.words("row")], seed), np.int64)

    def counts(self, name: str) -> list[tuple[str, int]]:
        """Values of a column of strings with their rows, the most frequent first; nulls are left out."""
        if name not in self._known:
            return []
        counted = pc.value_counts(_plain(self.table.column(name)))
        pairs = [
            (str(item["values"]), int(item["counts"])) for item in counted.to_pylist() if item["values"] is not None
        ]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _plain(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
