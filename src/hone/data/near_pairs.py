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
from hone.data.kernels.bands import CROWD, Pairs, candidates
from hone.data.kernels.jaccard import Floats
from hone.data.kernels.words import Bools, Hashes, Ints

MOST_LEADERS = 64
"""Leaders of a bucket that are compared with the others at once; the first round takes one, the next two."""
BUDGET_PER_ROW = 20
"""Comparisons of crowded buckets per row, beside two million. Spent, they take seconds."""

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
        compare: similarities (P,) of pairs (P, 2): exact where at or over the threshold, anything below it elsewhere.
        threshold: pairs at or over it become edges.
        crowd: from how many rows on a bucket is crowded.
        budget: comparisons for crowded buckets.
    """
    found = candidates(bands, crowd)
    known = _Known(compare, count)
    known.similarity(found.pairs)
    left = known.compared + (2_000_000 + BUDGET_PER_ROW * count if budget is None else budget)
    crowded = _Crowded(found.crowded)
    whole = True
    while whole:
        edges = known.edges(threshold)
        whole = crowded.compare_leaders(_kept(count, edges), known, threshold, left)
        if len(known.edges(threshold).pairs) == len(edges.pairs):
            break
    edges = known.edges(threshold)
    uncompared = np.zeros(count, np.int64) if whole else crowded.sizes(_kept(count, edges))
    return Verified(edges=edges, compared=known.compared, uncompared=uncompared)


def _kept(count: int, edges: Edges) -> Bools:
    kept: Bools = on_behalf(count, edges)[0] == np.arange(count)
    return kept


class _Crowded:
    """Crowded buckets, one behind the other: the rows of each, and which of them have met all other settled ones."""

    def __init__(self, buckets: Sequence[Ints]) -> None:
        self._rows = np.concatenate([np.zeros(0, np.int64), *buckets])
        self._bucket = np.repeat(np.arange(len(buckets)), [len(rows) for rows in buckets])
        self._settled = np.zeros(len(self._rows), bool)

    def compare_leaders(self, kept: Bools, known: _Known, threshold: float, left: int) -> bool:
        """Compare the kept rows of all buckets leader by leader; False when the budget was spent before the end.

        A row that is like a leader is compared no further: it will go, unless the leader goes itself, and then the
        next pass meets it again.
        """
        here = kept[self._rows]
        again = np.bincount(self._bucket, here & ~self._settled) > 0
        open_ = np.flatnonzero(here & again[self._bucket])
        self._settled &= ~again[self._bucket]  # a row that is gone now does not meet those who come
        leaders = 1
        while len(open_):
            bucket = self._bucket[open_]
            begin = np.searchsorted(bucket, bucket)
            within = np.arange(len(open_)) - begin
            later = [np.flatnonzero(within > at) for at in range(min(leaders, int(within.max())))]
            ahead = [begin[places] + at for at, places in enumerate(later)]
            second = np.concatenate([np.zeros(0, np.int64), *later])
            first = np.concatenate([np.zeros(0, np.int64), *ahead])
            pairs = np.stack([self._rows[open_[first]], self._rows[open_[second]]], axis=1)
            similarity = known.similarity(pairs, left)
            if similarity is None:
                return False
            tied = np.zeros(len(open_), bool)
            tied[second[similarity >= threshold]] = True
            lead = within < leaders
            self._settled[open_[lead]] = True
            open_ = open_[~lead & ~tied]
            leaders = min(2 * leaders, MOST_LEADERS)
        return True

    def sizes(self, kept: Bools) -> Ints:
        """(N,) for each kept row how many other kept rows its largest bucket has."""
        here = np.flatnonzero(kept[self._rows])
        others = np.bincount(self._bucket[here])[self._bucket[here]] - 1
        found = np.zeros(len(kept), np.int64)
        np.maximum.at(found, self._rows[here], others)
        return found


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

    def similarity(self, pairs: Pairs, most: int | None = None) -> Floats | None:
        """(P,) similarities; None when more than ``most`` pairs would have been compared in all."""
        codes = pairs[:, 0] * self._count + pairs[:, 1]
        at = np.minimum(np.searchsorted(self._codes, codes), max(0, len(self._codes) - 1))
        known = self._codes[at] == codes if len(self._codes) else np.zeros(len(codes), bool)
        new = np.sort(codes[~known])  # np.unique hashes here, which is many times slower
        new = new[np.concatenate([new[:1] >= 0, new[1:] != new[:-1]])]
        if most is not None and self.compared + len(new) > most:
            return None
        if len(new):
            values = self._compare(np.stack(np.divmod(new, self._count), axis=1))
            place = np.searchsorted(self._codes, new)
            self._codes = np.insert(self._codes, place, new)
            self._values = np.insert(self._values, place, values)
            at = np.searchsorted(self._codes, codes)
        return self._values[at]

    def edges(self, threshold: float) -> Edges:
        over = np.flatnonzero(self._values >= threshold)
        return Edges(np.stack(np.divmod(self._codes[over], self._count), axis=1), self._values[over])
