"""Word shingles of many texts, sorted and unique, and MinHash band keys out of them.

A shingle is the hash of a run of ``n`` words. A text shorter than that is one shingle: all its words. Because the
shingles of a text are sorted, the smallest one of each bin stands first in it, and one-permutation hashing costs one
scan; a bin without a shingle borrows from another (Li, Owen, Zhang 2012; optimal densification: Shrivastava 2017).

Legend: N texts, S shingles, H hashes of a sketch, B bands, R hashes in a band.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from hone.data.kernels.words import Hashes, Ints, Words, mixed, ngrams

HASHES = 128
"""Hashes of a sketch. The share of equal ones estimates a Jaccard similarity within 0.09 (two standard errors)."""

_FEW_BINS = 24
"""Full bins up to which the second way of borrowing is the faster one (measured)."""
_STEP = np.uint64(0x100000001B3)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True, eq=False)
class Shingles:
    """``values`` (S,) ascending and unique in each text; text ``i`` has those from ``first[i]`` to ``first[i + 1]``."""

    values: Hashes
    first: Ints

    @property
    def sizes(self) -> Ints:
        """(N,) shingles of each text; 0 for a text without words."""
        return np.diff(self.first)


def shingles(words: Words, n: int) -> Shingles:
    """The set of word ``n``-grams of each text of a piece."""
    counts = np.diff(words.first)
    grams = np.where(counts >= n, counts - n + 1, np.minimum(counts, 1))
    first = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(grams, out=first[1:])
    long, _ = ngrams(words, n)
    short = np.flatnonzero((counts > 0) & (counts < n))
    values = long
    if len(short):
        values = np.empty(first[-1], np.uint64)
        whole = np.ones(len(values), bool)
        whole[first[short]] = False
        values[whole] = long
        values[first[short]] = _whole_texts(words, short, counts[short])
    return _unique(values, first)


def _whole_texts(words: Words, texts: Ints, counts: Ints) -> Hashes:
    """One hash for all words of each of some texts."""
    start = words.first[texts]
    found = words.hash[start].copy()
    for k in range(1, int(counts.max())):
        inside = counts > k
        found[inside] = found[inside] * _STEP + words.hash[start[inside] + k]
    return mixed(found)


def _unique(values: Hashes, first: Ints) -> Shingles:
    """Sort each text's shingles and drop repeated ones."""
    # Many short sorts that stay in the first-level cache are faster than one long one by (text, shingle).
    for begin, end in pairwise(first.tolist()):
        if end - begin > 1:
            values[begin:end].sort()
    fresh = np.ones(len(values) + 1, bool)
    fresh[1:-1] = values[1:] != values[:-1]
    fresh[first] = True
    before = np.zeros(len(values) + 1, np.int64)
    np.cumsum(fresh[:-1], out=before[1:])
    return Shingles(values[fresh[:-1]], before[first])


def set_hashes(sets: Shingles) -> Hashes:
    """(N,) one hash for each set of shingles: equal for equal sets."""
    sums = np.zeros(len(sets.values) + 1, np.uint64)
    np.cumsum(mixed(sets.values), out=sums[1:])
    return mixed(sums[sets.first[1:]] - sums[sets.first[:-1]])


def sketches(sets: Shingles, hashes: int = HASHES) -> Hashes:
    """(N, H) one-permutation MinHash with optimal densification; zeros for a text without shingles.

    The probability that two texts agree in a hash is the Jaccard similarity of their sets.
    """
    num_texts = len(sets.first) - 1
    found = np.zeros((num_texts, hashes), np.uint64)
    full = np.zeros((num_texts, hashes), bool)
    text = np.repeat(np.arange(num_texts), sets.sizes)
    cell = text * hashes + ((sets.values >> _HALF) * np.uint64(hashes) >> _HALF).astype(np.int64)
    smallest = np.ones(len(cell), bool)
    smallest[1:] = cell[1:] != cell[:-1]
    found.reshape(-1)[cell[smallest]] = sets.values[smallest]
    full.reshape(-1)[cell[smallest]] = True
    bins = full.sum(axis=1)
    _borrow(found, full, (bins > _FEW_BINS)[:, None] & ~full)
    _borrow_from_few(found, full, np.flatnonzero((bins > 0) & (bins <= _FEW_BINS)))
    return found


def _borrow(found: Hashes, full: Any, empty: Any) -> None:
    """Fill empty bins: each asks the bins of its text in its own order until one is full."""
    hashes = found.shape[1]
    lenders, values, is_full = _lenders(hashes), found.reshape(-1), full.reshape(-1)
    cell = np.flatnonzero(empty)
    attempt = 1
    while len(cell):
        own = cell % hashes
        lender = cell - own + lenders[attempt][own]
        lends = is_full[lender]
        values[cell[lends]] = values[lender[lends]]
        cell = cell[~lends]
        attempt += 1


def _borrow_from_few(found: Hashes, full: Any, texts: Ints) -> None:
    """The same for texts with few full bins: the best place of all of them in each bin's order, at once."""
    if not len(texts):
        return
    hashes = found.shape[1]
    text, lender = np.nonzero(full[texts])
    first = np.searchsorted(text, np.arange(len(texts)))
    best = np.minimum.reduceat(_places(hashes)[lender], first, axis=0) & np.uint32(0xFFFF)
    found[texts] = np.take_along_axis(found[texts], best.astype(np.int64), axis=1)


@cache
def _lenders(hashes: int) -> Ints:
    """(H, H) ``[attempt, bin]``: whom a bin asks; the first is itself."""
    draws = mixed(np.arange(1, hashes * hashes + 1, dtype=np.uint64)).reshape(hashes, hashes)
    np.fill_diagonal(draws, 0)
    return np.argsort(draws, axis=0)


@cache
def _places(hashes: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """(H, H) ``[lender, bin]``: the lender's place in the bin's order, and the lender itself in the low 16 bits."""
    place = np.argsort(_lenders(hashes), axis=0).astype(np.uint32)
    return (place << np.uint32(16)) | np.arange(hashes, dtype=np.uint32)[:, None]


def band_keys(sketch_NH: Hashes, bands: int, rows: int) -> Hashes:
    """(B, N) one key for each band of each text: equal where all R hashes of the band are."""
    cut_NBR = sketch_NH[:, : bands * rows].reshape(len(sketch_NH), bands, rows)
    keys = cut_NBR[:, :, 0].copy()
    for k in range(1, rows):
        keys = keys * _STEP + cut_NBR[:, :, k]
    return np.ascontiguousarray(mixed(keys).T)


def band_shape(threshold: float, hashes: int = HASHES, miss: float = 1e-3) -> tuple[int, int]:
    """Bands and hashes in a band: the widest bands that miss at most ``miss`` of the pairs exactly at the threshold.

    A pair of similarity ``s`` shares no band with probability ``(1 - s ** R) ** B``; pairs over the threshold are
    missed less often. Wide bands propose fewer pairs that turn out to be too different.
    """
    for rows in range(hashes, 1, -1):
        bands = hashes // rows
        if (1 - threshold**rows) ** bands <= miss:
            return bands, rows
    return hashes, 1
