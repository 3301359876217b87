"""The most frequent of very many hashes, in bounded memory and exactly.

A first pass counts buckets of hashes (one row of a count-min sketch, Cormode and Muthukrishnan 2005): no hash occurs
more often than its bucket. A second pass counts exactly, and only what is in buckets that are full enough. Up to eight
million hashes are simply counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from hone.data.kernels.words import Bools, Hashes, Ints

_BUCKET_BITS = 22
_GATHERED = 1 << 21
"""Hashes counted at once: 16 MB."""
_FEW = 1 << 23
"""Hashes that may be held together: 64 MB, and twice that while they are sorted."""

Chunks = Callable[[], Iterable[Hashes]]
"""Gives the hashes anew each time it is called: they may be read twice."""


class Remembered:
    """Chunks that are read once and then kept, as long as they hold eight million hashes at most together."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._kept: list[Hashes] | None = None

    def __call__(self) -> Iterator[Hashes]:
        """The chunks, from memory where they are there."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Hashes] = []
        size = 0
        for chunk in self._chunks():
            size += len(chunk)
            if size <= _FEW:
                kept.append(chunk)
            else:
                kept.clear()
            yield chunk
        if size <= _FEW:
            self._kept = kept


def frequent(chunks: Chunks, at_least: int) -> tuple[Hashes, Ints]:
    """The hashes that occur at least so often, ascending, and their exact counts."""
    keys, counts = _all_counts(chunks) or exact_counts(chunks, bucket_counts(chunks) >= at_least)
    enough = counts >= at_least
    return keys[enough], counts[enough]


def top(chunks: Chunks, k: int) -> tuple[Hashes, Ints, int]:
    """The ``k`` most frequent hashes, the most frequent first, and their exact counts.

    Also a bound: a hash that is not given occurs at most that often. Where the last count given is at or over the
    bound, the answer is exact (but for ties).
    """
    counted, bound = _all_counts(chunks), 0
    if counted is None:
        buckets = bucket_counts(chunks)
        wanted = min(10 * k + 1000, len(buckets))
        bound = max(int(np.partition(buckets, len(buckets) - wanted)[len(buckets) - wanted]), 1)
        counted = exact_counts(chunks, buckets >= bound)
    keys, counts = counted
    order = np.lexsort((keys, -counts))[: k + 1]
    missed = int(counts[order[k]]) if len(order) > k else 0
    return keys[order[:k]], counts[order[:k]], max(missed, bound - 1)


def _all_counts(chunks: Chunks) -> tuple[Hashes, Ints] | None:
    """Every hash and its count, or nothing where there are too many to hold."""
    held: list[Hashes] = [np.zeros(0, np.uint64)]
    size = 0
    for chunk in chunks():
        held.append(chunk)
        size += len(chunk)
        if size > _FEW:
            return None
    keys, counts = np.unique(np.concatenate(held), return_counts=True)
    return keys, counts


def bucket_counts(chunks: Chunks) -> Ints:
    """(4194304,) how many hashes fall into each bucket (32 MB)."""
    counts = np.zeros(1 << _BUCKET_BITS, np.int64)
    for hashes in _gathered(chunks()):
        bucket, number = np.unique(bucket_of(hashes), return_counts=True)
        counts[bucket] += number
    return counts


def exact_counts(chunks: Chunks, buckets: Bools) -> tuple[Hashes, Ints]:
    """The hashes in some buckets, ascending, and how often each occurs."""
    keys, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for hashes in _gathered(chunks()):
        own, number = np.unique(hashes[buckets[bucket_of(hashes)]], return_counts=True)
        keys, place = np.unique(np.concatenate([keys, own]), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([counts, number]), minlength=len(keys)).astype(np.int64)
    return keys, counts


def bucket_of(hashes: Hashes) -> Ints:
    """The bucket of each hash: its highest 22 bits."""
    return (hashes >> np.uint64(64 - _BUCKET_BITS)).astype(np.int64)


def places(keys: Hashes, known: Hashes) -> tuple[Ints, Bools]:
    """Where each key is in ``known`` (ascending), and whether it is there at all."""
    if not len(known):
        return np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return at, known[at] == keys


def _gathered(chunks: Iterable[Hashes]) -> Iterator[Hashes]:
    """The same hashes in larger arrays."""
    held: list[Hashes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= _GATHERED:
            yield np.concatenate(held)
            held, size = [], 0
    if size:
        yield np.concatenate(held)
