"""Near duplicates: rows whose sets of word n-grams have a Jaccard similarity at or over a threshold, verified exactly.

MinHash (Broder 1997) with one permutation proposes pairs; each is verified on the stored shingles, so nothing leaves
because a hash collided. Numbers are words like others: logs that differ in their numbers alone stay, unless asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.clusters import Survivor, components, on_behalf, row_names
from hone.data.kernels.bands import Pairs
from hone.data.kernels.codepoints import pieces
from hone.data.kernels.jaccard import Floats, MinHashes, ShingleSets, jaccards, may_reach
from hone.data.kernels.minhash import HASHES, band_keys, band_shape, set_hashes, shingles, sketches
from hone.data.kernels.words import SPLITTERS, Hashes, Ints, split_words
from hone.data.near_pairs import Verified, verified
from hone.data.table import texts
from hone.errors import InputError, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """Columns over all rows; each is null for a row without any word.

    ``near.survivor``: id of the kept row on whose behalf the row may go; null for rows that are kept.
    ``near.similarity``: exact Jaccard similarity with it. ``near.cluster``: position of the survivor, also for itself;
    null for rows alone. ``near.size``: rows of the cluster. ``near.chain``: position of the first row of a chain of
    clusters, whose survivors are not like each other but are tied by removed rows; ``near.similarity`` of such a kept
    row is that with the row it is most like. ``near.shingles``: how many the row has; a text of fewer than ``n`` words
    is one shingle, all its words. ``near.uncompared``: see :class:`hone.data.near_pairs.Verified`.

    Raises:
        InputError: parameters that make no sense, all at once.
    """

    name: ClassVar[str] = "near"
    version: ClassVar[str] = "1"

    threshold: float = 0.75
    """Least Jaccard similarity of a duplicate, over 0 and up to 1."""
    n: int = 5
    """Words in a shingle."""
    splitter: str = "unicode-words"
    numbers: bool = True
    """False takes every digit for 0, so that texts which differ in their numbers alone become duplicates."""
    measured: str = "text"
    """The column of the text table that is compared: ``text``, ``input`` or ``answer``."""
    survivor: str = "first"
    """One of :data:`hone.data.clusters.SURVIVORS`; ``sources`` and ``column`` belong to two of them."""
    sources: Sequence[str] = ()
    column: str = ""

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.threshold <= 1:
            problems.append(f"near: threshold {self.threshold:g}; expected over 0 and at most 1")
        if self.n < 1:
            problems.append(f"near: n {self.n}; a shingle has at least 1 word")
        if self.splitter not in SPLITTERS:
            problems.append(f'near: splitter "{self.splitter}" is not known; {nearest(self.splitter, list(SPLITTERS))}')
        if self.measured not in ("text", "input", "answer"):
            problems.append(f'near: measured "{self.measured}"; expected text, input or answer')
        if problems:
            raise InputError(problems)
        self._policy()

    def _policy(self) -> Survivor:
        return Survivor(kind=self.survivor, sources=tuple(self.sources), column=self.column)

    @property
    def params(self) -> Mapping[str, Any]:
        """What changes the columns."""
        bands, rows = band_shape(self.threshold)
        return {
            "threshold": self.threshold,
            "n": self.n,
            "splitter": self.splitter,
            "numbers": self.numbers,
            "measured": self.measured,
            "bands": bands,
            "rows_per_band": rows,
            "survivor": self.survivor,
            "sources": list(self.sources),
            "column": self.column,
        }

    def sketch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """``shingles`` (sorted, unique), ``set`` (their joint hash), ``minhash``, ``chars``, ``band_00`` ... (keys)."""
        given = texts(rows, self.measured)
        bands, per_band = band_shape(self.threshold)
        values, sizes, sets = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)], [np.zeros(0, np.uint64)]
        keys, hashes = [np.zeros((bands, 0), np.uint64)], [np.zeros((0, HASHES), np.uint8)]
        for piece in pieces(given):
            found = shingles(split_words(piece, self.splitter, numbers=self.numbers), self.n)
            values.append(found.values)
            sizes.append(found.sizes)
            sets.append(set_hashes(found))
            sketch = sketches(found)
            hashes.append(sketch.astype(np.uint8))
            keys.append(band_keys(sketch, bands, per_band))
        offsets = np.cumsum(np.concatenate(sizes))
        shingle_lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(values)))
        columns = {
            "shingles": shingle_lists,
            "set": pa.array(np.concatenate(sets)),
            "minhash": _bytes(np.concatenate(hashes)),
            "chars": pa.array([len(text) for text in given], pa.int64()),
        }
        columns |= {f"band_{band:02}": pa.array(row) for band, row in enumerate(np.concatenate(keys, axis=1))}
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def columns(self, sketches: pa.Table) -> pa.Table:
        """The columns named above, over all rows."""
        sets = _stored_sets(sketches.column("shingles"))
        order = self._policy().order(sketches)
        order = order[sets.sizes[order] > 0]
        head, node = _equal_sets(sketches, sets, order)
        bands = (_uint64(sketches, name)[head] for name in sketches.column_names if name.startswith("band_"))
        hashes = _stored_hashes(sketches.column("minhash"))

        def compare(pairs: Pairs) -> Floats:
            asked = head[pairs]
            found = np.zeros(len(asked), np.float64)
            likely = may_reach(hashes, sets.sizes, asked, self.threshold)
            found[likely] = jaccards(sets, asked[likely], self.threshold)
            return found

        pairs = verified(bands, len(head), compare, self.threshold)
        return _as_columns(sketches, sets.sizes, _Found(order, head, node, pairs))


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What the columns are made of.

    ``order`` (M,) positions of measured rows, best first; ``head`` (U,) position of the best row of each distinct set,
    ``node`` (M,) which set each row of ``order`` has, and the verified ``pairs`` of sets.
    """

    order: Ints
    head: Ints
    node: Ints
    pairs: Verified


def _stored_sets(column: pa.ChunkedArray) -> ShingleSets:
    return ShingleSets([(chunk.values.to_numpy(), chunk.offsets.to_numpy()) for chunk in column.chunks])


def _bytes(values: Any) -> pa.Array:
    """(N, H) bytes as N binary values of H bytes."""
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(values.shape[1]), len(values), [None, pa.py_buffer(values)])


def _stored_hashes(column: pa.ChunkedArray) -> MinHashes:
    width = column.type.byte_width
    whole = [np.frombuffer(chunk.buffers()[1], np.uint8).reshape(-1, width) for chunk in column.chunks]
    return MinHashes([rows[chunk.offset :][: len(chunk)] for rows, chunk in zip(whole, column.chunks, strict=True)])


def _uint64(table: pa.Table, name: str) -> Hashes:
    return np.asarray(table.column(name).to_numpy(), np.uint64)


def _equal_sets(sketches: pa.Table, sets: ShingleSets, order: Ints) -> tuple[Ints, Ints]:
    """Rows with equal sets are one node, so that a thousand copies make no crowd.

    Returns:
        (U,) position of the best row of each distinct set, in the order of survival, and (M,) the node of each row.
    """
    hashes = _uint64(sketches, "set")[order]
    _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
    leader = first[which]
    pairs = np.stack([order[leader], order], axis=1)
    copies = leader != np.arange(len(order))
    equal = np.ones(len(order), bool)
    equal[copies] = jaccards(sets, pairs[copies], 1.0) == 1.0
    leader = np.where(equal, leader, np.arange(len(order)))  # sets that share a hash by chance stay apart
    heads = np.flatnonzero(leader == np.arange(len(order)))
    return order[heads], np.searchsorted(heads, leader)


def _as_columns(sketches: pa.Table, sizes: Ints, found: _Found) -> pa.Table:
    edges = found.pairs.edges
    nodes = len(found.head)
    survivor_node, node_similarity = on_behalf(nodes, edges)
    chain_node = components(nodes, edges.pairs)
    kept_node = survivor_node == np.arange(nodes)
    several = np.bincount(chain_node[kept_node], minlength=nodes)[chain_node] > 1
    nearest_node = np.zeros(nodes)
    for side in (0, 1):
        np.maximum.at(nearest_node, edges.pairs[:, side], edges.similarity)

    position, node = found.order, found.node
    survivor = found.head[survivor_node[node]]
    removed = survivor != position
    cluster_size = np.bincount(survivor, minlength=len(sizes))
    chained = several[node]
    tied = chained & ~removed & (nearest_node[node] > 0)
    similarity = np.where(removed, node_similarity[node], np.where(tied, nearest_node[node], np.nan))

    def spread(values: Any, shown: Any, kind: pa.DataType) -> pa.Array:
        whole = np.zeros(len(sizes), np.asarray(values).dtype)
        hidden = np.ones(len(sizes), bool)
        whole[position] = values
        hidden[position] = ~shown
        return pa.array(whole, kind, mask=hidden)

    everywhere = np.zeros(len(sizes), np.int64)
    everywhere[position] = survivor
    gone = np.zeros(len(sizes), bool)
    gone[position] = removed
    always = np.ones(len(position), bool)
    size = cluster_size[survivor]
    return pa.table(
        {
            "near.cluster": spread(survivor, size > 1, pa.int64()),
            "near.survivor": row_names(sketches.column("row"), everywhere, gone),
            "near.similarity": spread(similarity, removed | tied, pa.float64()),
            "near.size": spread(size, always, pa.int64()),
            "near.chain": spread(found.head[chain_node[node]], chained, pa.int64()),
            "near.shingles": spread(sizes[position], always, pa.int64()),
            "near.uncompared": spread(found.pairs.uncompared[node], always, pa.int64()),
        }
    )
