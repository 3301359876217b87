"""Clusters of rows that say the same: which row survives, and on whose behalf the others may go.

Rows are numbered in the order in which they would survive, so the smaller number of a pair is the better row. A row is
removed only on behalf of a kept row that it was compared with. In a chain, where A is like B and B is like C but A is
not like C, B goes for A, and C stays: nobody who is kept says what C says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hone.data.kernels.bands import Pairs
from hone.data.kernels.jaccard import Floats
from hone.data.kernels.words import Ints
from hone.errors import InputError, nearest
from hone.wording import counted

SURVIVORS = {
    "first": "the first row in the order of the data",
    "longest": "the row with the most characters",
    "best": "the row with the largest value of a column",
    "source": "the row whose source stands first in a list",
}
"""How the row that survives is chosen; the first row wins a tie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Survivor:
    """Which row of a cluster survives.

    ``kind`` is one of :data:`SURVIVORS`; ``sources`` is the preferred order for ``source`` (others follow), ``column``
    the column for ``best``. Rows of dev and of other splits survive those of train, whatever the kind: what judges a
    model must not be thinned out for what trains it.

    Raises:
        InputError: all that does not fit together.
    """

    kind: str = "first"
    sources: tuple[str, ...] = ()
    column: str = ""

    def __post_init__(self) -> None:
        problems = []
        if self.kind not in SURVIVORS:
            problems.append(f'survivor: "{self.kind}" is not known; {nearest(self.kind, list(SURVIVORS))}')
        if (self.kind == "source") != bool(self.sources):
            problems.append(
                f"survivor: {self.kind} with {len(self.sources)} sources; `source` needs them, others do not"
            )
        if (self.kind == "best") != bool(self.column):
            problems.append(f'survivor: {self.kind} with column "{self.column}"; `best` needs one, others do not')
        if problems:
            raise InputError(problems)

    def order(self, sketches: pa.Table) -> Ints:
        """(N,) positions of all rows, the one that survives all others first.

        Args:
            sketches: ``split`` if there is one, ``chars`` for ``longest``, ``source`` for ``source``, and the named
                column for ``best`` (a row without a value comes last).

        Raises:
            InputError: when the column needed is not there or has no order.
        """
        rank = self._rank(sketches)
        in_train = np.ones(sketches.num_rows, bool)
        if "split" in sketches.column_names:
            in_train = np.asarray(_column(sketches, "split").to_pylist(), object) == "train"
        return np.lexsort((np.arange(sketches.num_rows), rank, in_train))

    def _rank(self, sketches: pa.Table) -> Floats:
        if self.kind == "first":
            return np.zeros(sketches.num_rows)
        if self.kind == "longest":
            return -_numbers(sketches, "chars")
        if self.kind == "best":
            return np.nan_to_num(-_numbers(sketches, self.column), nan=np.inf)
        place = {source: index for index, source in enumerate(self.sources)}
        given = _column(sketches, "source").to_pylist()
        return np.asarray([place.get(source, len(place)) for source in given], np.float64)


def _column(sketches: pa.Table, name: str) -> Any:
    if name not in sketches.column_names:
        known = [column for column in sketches.column_names if not column.startswith(("band_", "key_"))]
        raise InputError(f'survivor: no column "{name}" beside the sketches; {nearest(name, known)}')
    return sketches.column(name)


def _numbers(sketches: pa.Table, name: str) -> Floats:
    column = _column(sketches, name)
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f'survivor: the column "{name}" holds {column.type}, expected numbers: {error}') from error


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Similar rows: ``pairs`` (E, 2), each once and the smaller number first, and their ``similarity`` (E,)."""

    pairs: Pairs
    similarity: Floats


def on_behalf(count: int, edges: Edges) -> tuple[Ints, Floats]:
    """Greedy choice in the order of the numbers: who is kept, and for whom the others go.

    A row goes when it has an edge to a row that is kept, and then for the most similar of these (the better one when
    they are equally similar). So every removed row is like its survivor, and no two kept rows share an edge.

    Returns:
        (N,) the survivor of each row, itself when it is kept, and (N,) the similarity with it, 1 with itself.
    """
    survivor = np.arange(count)
    similarity = np.ones(count, np.float64)
    order = np.lexsort((edges.pairs[:, 0], -edges.similarity, edges.pairs[:, 1]))
    kept = bytearray(b"\x01") * count
    ordered = zip(edges.pairs[order].tolist(), edges.similarity[order].tolist(), strict=True)
    # All edges of smaller rows come before, so whether the better row of a pair is kept is already decided.
    for (better, row), value in ordered:
        if kept[row] and kept[better]:
            kept[row] = 0
            survivor[row] = better
            similarity[row] = value
    return survivor, similarity


def components(count: int, pairs: Pairs) -> Ints:
    """(N,) the smallest number that each row is tied to by any chain of pairs."""
    label = np.arange(count)
    left, right = pairs[:, 0], pairs[:, 1]
    while True:
        low = np.minimum(label[left], label[right])
        if (low == label[left]).all() and (low == label[right]).all():
            return label
        # The smaller label is handed to both ends and to whom they point to; then every path is shortened.
        for end in (label[left], label[right], left, right):
            np.minimum.at(label, end, low)
        while (label[label] != label).any():
            label = label[label]


def notes(columns: pa.Table) -> list[str]:
    """What should be said aloud about the columns of ``exact`` and ``near`` in a table, a sentence each."""
    said = []
    for name, lacks in (("exact", "text"), ("near", "words")):
        if f"{name}.size" in columns.column_names and (empty := columns.column(f"{name}.size").null_count):
            verb = "is" if empty == 1 else "are"
            said.append(f"{name}: {counted(empty, 'row')} without {lacks} {verb} not compared")
    said += _contradicting(columns)
    if "near.chain" not in columns.column_names:
        return said
    short = int(np.count_nonzero(_filled(columns, "near.shingles") == 1))
    tied = _filled(columns, "near.chain") >= 0
    kept = np.asarray(columns.column("near.survivor").is_null().to_numpy(), bool)
    uncompared = _filled(columns, "near.uncompared")
    if short:
        said.append(
            f"near: {counted(short, 'row is', 'rows are')} so short that only the same words make a near duplicate"
        )
    if tied.any():
        said.append(
            f"near: {counted(int((tied & kept).sum()), 'row is', 'rows are')} much like a row that is removed, "
            "and kept because no row that stays is so much like it"
        )
    if (uncompared > 0).any():
        sharing = counted(int((uncompared > 0).sum()), "row shares", "rows share")
        others = counted(int(uncompared.max()), "other")
        said.append(
            f"near: {sharing} so much with up to {others} each that not all were compared: duplicates may be left; "
            "take boilerplate out, or raise the threshold"
        )
    return said


def _contradicting(columns: pa.Table) -> list[str]:
    """A sentence on rows that repeat a text and are no duplicates, because their answer is another one."""
    if "exact.repeats" not in columns.column_names:
        return []
    repeats = pc.sum(columns.column("exact.repeats")).as_py() or 0
    removed = columns.num_rows - columns.column("exact.survivor").null_count
    if repeats <= removed:
        return []
    equal = counted(repeats, "row equals", "rows equal")
    same = f"{removed:,} of them one with the same answer; only these are" if removed else "none with the same answer:"
    return [f"exact: {equal} an earlier one by folded text, {same} {'' if removed else 'no '}duplicates"]


def _filled(columns: pa.Table, name: str) -> Ints:
    return np.asarray(columns.column(name).fill_null(-1).to_numpy(), np.int64)


def cluster_members(columns: pa.Table, cluster: int, signal: str = "near") -> Ints:
    """Positions of the rows of a cluster, its survivor first.

    Args:
        columns: with ``<signal>.cluster``.
        cluster: position of the survivor.
        signal: ``near`` or ``exact``.
    """
    values = columns.column(f"{signal}.cluster").to_numpy(zero_copy_only=False)
    found = np.flatnonzero(np.asarray(values, np.float64) == cluster)
    return np.concatenate([found[found == cluster], found[found != cluster]])


def row_names(rows: pa.ChunkedArray, survivor: Sequence[int] | Ints, removed: Any) -> pa.Array:
    """(N,) the id of each removed row's survivor, null for the others; ids of survivors only are read."""
    wanted = np.asarray(survivor)[removed]
    names, which = np.unique(wanted, return_inverse=True)
    ids = np.asarray(rows.take(pa.array(names)).to_pylist(), object)
    found = np.full(len(removed), None, object)
    found[removed] = ids[which]
    return pa.array(found.tolist(), pa.large_string())
