"""Exact Jaccard similarity of pairs of shingle sets that may lie in files, and which pairs need not be looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from hone.data.kernels.bands import Pairs
from hone.data.kernels.words import Bools, Hashes, Ints

_AT_ONCE = 500_000
"""Shingles of both sides that are compared at once: 4 MB."""

_PAIRS_AT_ONCE = 50_000
_STANDARD_ERRORS = 4.5
_LEAST_SIZE = 64
"""Sets below this are compared at once: that costs little, and few hashes stand for many bins."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


class ShingleSets:
    """Sets of hashes, each ascending and unique, over the memory of the chunks that hold them: nothing is copied.

    Args:
        chunks: for each chunk its values and the offsets (n + 1,) of its sets.
    """

    def __init__(self, chunks: Sequence[tuple[Hashes, Ints]]) -> None:
        self._chunks = list(chunks)
        self._first: list[int] = np.cumsum([0] + [len(offsets) - 1 for _, offsets in chunks]).tolist()
        self.sizes: Ints = np.concatenate([np.zeros(0, np.int64)] + [np.diff(offsets) for _, offsets in chunks])

    def __len__(self) -> int:
        return len(self.sizes)

    def of(self, position: int) -> Hashes:
        """The set at a position: a view."""
        chunk = bisect_right(self._first, position) - 1
        values, offsets = self._chunks[chunk]
        local = position - self._first[chunk]
        return values[offsets[local] : offsets[local + 1]]


def jaccards(sets: ShingleSets, pairs: Pairs, least: float = 0.0) -> Floats:
    """(P,) similarity of pairs of positions.

    Args:
        sets: not empty where a pair names them.
        pairs: (P, 2) positions.
        least: pairs whose sizes alone prove that they are below it are not compared and get 0.
    """
    small, large = np.sort(sets.sizes[pairs], axis=1).T
    found = np.zeros(len(pairs), np.float64)
    worth = np.flatnonzero(small >= least * large)
    total = (small + large)[worth]
    # Pairs in groups of bounded size; what a group needs is gathered, sorted in place and counted.
    group = np.cumsum(total) // _AT_ONCE
    for members in np.split(worth, np.flatnonzero(np.diff(group)) + 1):
        if len(members):
            found[members] = _group(sets, pairs[members], (small + large)[members])
    return found


class MinHashes:
    """One byte of each hash of a sketch (N, H) for each set, over the memory of the chunks that hold them."""

    def __init__(self, chunks: Sequence[np.ndarray[Any, np.dtype[np.uint8]]]) -> None:
        self._chunks = list(chunks)
        self._first = np.cumsum([0] + [len(chunk) for chunk in chunks])

    def take(self, positions: Ints) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(P, H) the bytes at some positions."""
        if len(self._chunks) == 1:
            return self._chunks[0][positions]
        order = np.argsort(positions)
        ends = np.searchsorted(positions[order], self._first)
        found = np.empty((len(positions), self._chunks[0].shape[1]), np.uint8)
        for chunk in np.flatnonzero(np.diff(ends)):
            mine = order[ends[chunk] : ends[chunk + 1]]
            found[mine] = self._chunks[chunk][positions[mine] - self._first[chunk]]
        return found


def may_reach(hashes: MinHashes, sizes: Ints, pairs: Pairs, least: float) -> Bools:
    """(P,) whether a pair can have a similarity of ``least``, judged by how many of its hashes agree.

    Their share estimates the similarity with a standard error of ``sqrt(J (1 - J) / H)``. A pair is ruled out when it
    is 4.5 of these below ``least``, which happens to one in 300,000 of the pairs exactly there; small sets never are.
    """
    found = np.ones(len(pairs), bool)
    asked = np.flatnonzero(sizes[pairs].min(axis=1) >= _LEAST_SIZE)
    for begin in range(0, len(asked), _PAIRS_AT_ONCE):
        part = asked[begin : begin + _PAIRS_AT_ONCE]
        equal = hashes.take(pairs[part, 0]) == hashes.take(pairs[part, 1])
        count = equal.shape[1]
        found[part] = equal.sum(axis=1) >= count * least - _STANDARD_ERRORS * np.sqrt(count * least * (1 - least))
    return found


def _group(sets: ShingleSets, pairs: Pairs, total: Ints) -> Floats:
    first = np.concatenate([[0], np.cumsum(total)])
    values = np.empty(first[-1], np.uint64)
    for (left, right), begin, end in zip(pairs.tolist(), first[:-1].tolist(), first[1:].tolist(), strict=True):
        one = sets.of(left)
        middle = begin + len(one)
        values[begin:middle] = one
        values[middle:end] = sets.of(right)
        values[begin:end].sort()
    twice = np.zeros(len(values), np.int64)
    twice[1:] = values[1:] == values[:-1]
    twice[first[:-1]] = 0
    shared = np.add.reduceat(twice, first[:-1])
    return shared / (total - shared)
