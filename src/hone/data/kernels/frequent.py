"""The most frequent of very many hashes, in bounded memory and exactly.

A first pass counts buckets of hashes (one row of a count-min sketch, Cormode and Muthukrishnan 2005): no hash occurs
more often than its bucket. A second pass counts exactly, and only what is in buckets that are full enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from hone.data.kernels.words import Bools, Hashes, Ints

_BUCKET_BITS = 22
_GATHERED = 1 << 21
"""Hashes counted at once: 16 MB."""

Chunks = Callable[[], Iterable[Hashes]]
"""Gives the hashes anew each time it is called: they are read twice."""


def frequent(chunks: Chunks, at_least: int) -> tuple[Hashes, Ints]:
    """The hashes that occur at least so often, ascending, and their exact counts."""
    full = bucket_counts(chunks) >= at_least
    keys, counts = exact_counts(chunks, full)
    enough = counts >= at_least
    return keys[enough], counts[enough]


def top(chunks: Chunks, k: int) -> tuple[Hashes, Ints, int]:
    """The ``k`` most frequent hashes, the most frequent first, and their exact counts.

    Also a bound: a hash that is not given occurs at most that often. Where the last count given is at or over the
    bound, the answer is exact (but for ties).
    """
    buckets = bucket_counts(chunks)
    wanted = min(10 * k + 1000, len(buckets))
    bound = max(int(np.partition(buckets, len(buckets) - wanted)[len(buckets) - wanted]), 1)
    keys, counts = exact_counts(chunks, buckets >= bound)
    order = np.lexsort((keys, -counts))[:k]
    return keys[order], counts[order], bound - 1


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
