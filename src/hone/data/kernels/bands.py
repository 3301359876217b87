"""Pairs of texts that share a band key, out of sorted keys.

Most keys stand alone. Those that several texts share form a bucket; a small bucket gives all its pairs, and a crowded
one (thousands of copies of one page) is handed on whole, because its pairs would be more than its cluster needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.data.kernels.words import Hashes, Ints

CROWD = 32
"""Texts in a bucket from which on it is crowded."""

Pairs = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Texts that share a band key.

    ``pairs`` (P, 2) of small buckets, each once and the smaller number first; ``crowded``: the texts of each larger
    bucket, ascending.
    """

    pairs: Pairs
    crowded: list[Ints]


def candidates(bands: Iterable[Hashes], crowd: int = CROWD) -> Candidates:
    """Gather the buckets of all bands.

    Args:
        bands: for each band the keys (N,) of all texts.
        crowd: buckets with this many texts or more are handed on whole.
    """
    found = np.zeros((0, 2), np.int64)
    crowded: dict[bytes, Ints] = {}
    for keys in bands:
        texts, begin = _buckets(keys)
        sizes = np.diff(begin)
        pairs = [found]
        for size in range(2, crowd):
            members = texts[begin[:-1][sizes == size][:, None] + np.arange(size)]
            left, right = np.triu_indices(size, 1)
            pairs.append(np.stack([members[:, left].ravel(), members[:, right].ravel()], axis=1))
        found = unique_pairs(np.concatenate(pairs))
        for bucket in np.flatnonzero(sizes >= crowd):
            members = texts[begin[bucket] : begin[bucket + 1]]
            crowded[members.tobytes()] = members  # copies of one page share every band: once is enough
    return Candidates(found, list(crowded.values()))


def unique_pairs(pairs: Pairs) -> Pairs:
    """Each pair once, in order."""
    if not len(pairs):
        return pairs
    ordered = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[fresh]


def _buckets(keys: Hashes) -> tuple[Ints, Ints]:
    """Texts whose key is not alone, bucket by bucket and ascending in each, and where each bucket begins and ends."""
    order = np.argsort(keys)
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    shared = np.zeros(len(keys), bool)
    shared[1:] |= same
    shared[:-1] |= same
    texts, of = order[shared], ordered[shared]
    again = np.lexsort((texts, of))
    texts, of = texts[again], of[again]
    changes = np.flatnonzero(of[1:] != of[:-1]) + 1
    begin = np.concatenate([[0], changes, [len(of)]]) if len(of) else np.zeros(1, np.int64)
    return texts, begin.astype(np.int64)
