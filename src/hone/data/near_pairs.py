"""Verified pairs: candidates out of band keys, compared exactly, without comparing all pairs of a crowded bucket.

A crowded bucket (thousands of versions of one page) is compared leader by leader: its best row with all others, then
the best one that is like no leader so far, and so on. Which rows are kept in the end is the same as if all its pairs
had been compared: the kept rows of each bucket are compared with each other until no new pair is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hone.data.clusters import Edges, on_behalf
from hone.data.kernels.bands import CROWD, Pairs, candidates, unique_pairs
from hone.data.kernels.jaccard import Floats
from hone.data.kernels.words import Hashes, Ints

MOST_LEADERS = 64
"""Leaders of a bucket that are compared with the others at once; the first round takes one, the next two."""
BUDGET_PER_ROW = 20
"""Comparisons of crowded buckets per row, beside a million: about a tenth of a second for 1,000 rows."""

Compare = Callable[[Pairs], Floats]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Verified:
    """``edges`` over the threshold, and how many pairs were ``compared``.

    ``uncompared`` (N,): with how many rows of one crowded bucket a kept row may never have been compared, because the
    budget was spent. Zeros mean that nothing was left out.
    """

    edges: Edges
    compared: int
    uncompared: Ints


def verified(
    bands: Iterable[Hashes],
    count: int,
    compare: Compare,
    threshold: float,
    *,
    crowd: int = CROWD,
    budget: int | None = None,
) -> Verified:
    """Find the pairs that share a band and are similar.

    Args:
        bands: for each band the keys (N,) of the rows, numbered in the order in which they survive.
        count: N.
        compare: exact similarities (P,) of pairs (P, 2).
        threshold: pairs at or over it become edges.
        crowd: from how many rows on a bucket is crowded.
        budget: comparisons for crowded buckets.
    """
    found = candidates(bands, crowd)
    known = _Known(compare, count)
    known.similarity(found.pairs)
    left = 1_000_000 + BUDGET_PER_ROW * count if budget is None else budget
    left += known.compared
    while True:
        edges = known.edges(threshold)
        kept = on_behalf(count, edges)[0] == np.arange(count)
        buckets = [members[kept[members]] for members in found.crowded]
        before = known.compared
        whole = _compare_leaders(buckets, known, threshold, left)
        closed = len(known.edges(threshold).pairs) == len(edges.pairs)
        if closed or known.compared == before or not whole:
            break
    edges = known.edges(threshold)
    uncompared = np.zeros(count, np.int64)
    if not whole:
        kept = on_behalf(count, edges)[0] == np.arange(count)
        for bucket in found.crowded:
            members = bucket[kept[bucket]]
            uncompared[members] = np.maximum(uncompared[members], len(members) - 1)
    return Verified(edges=edges, compared=known.compared, uncompared=uncompared)


def _compare_leaders(buckets: Sequence[Ints], known: _Known, threshold: float, left: int) -> bool:
    """Compare each bucket leader by leader; False when the budget was spent before the end."""
    leaders = 1
    buckets = [bucket for bucket in buckets if len(bucket) > 1]
    while buckets:
        asked = [_pairs_of_leaders(bucket, leaders) for bucket in buckets]
        if known.compared + sum(map(len, asked)) > left and known.compared + known.unknown(asked) > left:
            return False
        known.similarity(unique_pairs(np.concatenate(asked)))
        remaining = []
        for bucket, pairs in zip(buckets, asked, strict=True):
            tied = np.unique(pairs[known.similarity(pairs) >= threshold][:, 1])
            rest = np.setdiff1d(bucket[leaders:], tied, assume_unique=True)
            if len(rest) > 1:
                remaining.append(rest)
        buckets = remaining
        leaders = min(2 * leaders, MOST_LEADERS)
    return True


def _pairs_of_leaders(bucket: Ints, leaders: int) -> Pairs:
    """The first rows of a bucket paired with all that come after each."""
    return np.concatenate(
        [
            np.stack([np.full(len(bucket) - at - 1, leader), bucket[at + 1 :]], axis=1)
            for at, leader in enumerate(bucket[:leaders])
        ]
    )


class _Known:
    """Similarities of all pairs that were compared, each compared once."""

    def __init__(self, compare: Compare, count: int) -> None:
        self._compare = compare
        self._count = count
        self._codes = np.zeros(0, np.int64)
        self._values = np.zeros(0, np.float64)

    @property
    def compared(self) -> int:
        return len(self._codes)

    def similarity(self, pairs: Pairs) -> Floats:
        codes = self._code(pairs)
        new = np.unique(codes[~self._has(codes)])
        if len(new):
            values = self._compare(np.stack(np.divmod(new, self._count), axis=1))
            at = np.searchsorted(self._codes, new)
            self._codes = np.insert(self._codes, at, new)
            self._values = np.insert(self._values, at, values)
        return self._values[np.searchsorted(self._codes, codes)]

    def unknown(self, asked: Sequence[Pairs]) -> int:
        codes = np.unique(self._code(np.concatenate(asked)))
        return int((~self._has(codes)).sum())

    def edges(self, threshold: float) -> Edges:
        over = np.flatnonzero(self._values >= threshold)
        return Edges(np.stack(np.divmod(self._codes[over], self._count), axis=1), self._values[over])

    def _code(self, pairs: Pairs) -> Ints:
        return pairs[:, 0] * self._count + pairs[:, 1]

    def _has(self, codes: Ints) -> np.ndarray:
        at = np.minimum(np.searchsorted(self._codes, codes), max(0, len(self._codes) - 1))
        return self._codes[at] == codes if len(self._codes) else np.zeros(len(codes), bool)
