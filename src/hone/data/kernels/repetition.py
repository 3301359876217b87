"""What repeats inside each text: runs of words, lines, paragraphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.data.kernels.scan import before
from hone.data.kernels.words import Bools, Hashes, Ints, Words, mixed

_STEP = np.uint64(0x9E3779B97F4A7C15)
_SALT = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True, eq=False)
class Repeated:
    """The n-grams that occur more than once in a text of the piece, for one ``n``.

    ``at`` (M,) index of the first word of each occurrence, grouped by n-gram, in order within each; ``group`` (K + 1,)
    where groups begin: occurrences ``group[k]`` to ``group[k + 1]`` are equal.
    """

    n: int
    at: Ints
    group: Ints

    @property
    def later(self) -> Ints:
        """Sorted first words of the occurrences that have an earlier one in their text."""
        again = np.ones(len(self.at), np.bool_)
        again[self.group[:-1]] = False
        return np.sort(self.at[again])


def repeated_ngrams(words: Words, longest: int) -> Iterator[Repeated]:
    """Repeated n-grams for n = 2, 3, ... ``longest``.

    An n-gram can repeat only where the one shorter by its last word repeats, so after the pairs of words little is
    left to look at. Equality is that of 46 bits of a hash or more (64 less the bits of the word's index): in a piece of
    40,000 words one false pair is expected every 90,000 pieces.
    """
    count = max(len(words.hash) - 1, 0)
    at = np.flatnonzero(words.text[:count] == words.text[1:])
    hashes = (words.hash[at] + words.text[at].astype(np.uint64) * _SALT) * _STEP
    for n in range(2, longest + 1):
        hashes += words.hash[at + (n - 1)]
        found, kept = _equal(mixed(hashes), at)
        yield Repeated(n, at[found], kept)
        alive = np.sort(found)
        alive = alive[at[alive] + n < len(words.hash)]
        at, hashes = at[alive], hashes[alive]
        same = words.text[at] == words.text[at + n] if len(at) else np.zeros(0, np.bool_)
        at, hashes = at[same], hashes[same] * _STEP


def _equal(hashes: Hashes, at: Ints) -> tuple[Ints, Ints]:
    """Indices of values that occur more than once, grouped and in order within a group, and where groups begin.

    The index is written into the low bits, so that one plain sort orders by hash and then by place.
    """
    bits = np.uint64(max(len(at), 2).bit_length())
    packed = np.sort((hashes >> bits << bits) | np.arange(len(at), dtype=np.uint64))
    keys = packed >> bits
    same = keys[1:] == keys[:-1]
    inside = np.zeros(len(keys), np.bool_)
    inside[1:] |= same
    inside[:-1] |= same
    chosen = np.flatnonzero(inside)
    opens = np.ones(len(chosen), np.bool_)
    opens[1:] = keys[chosen[1:]] != keys[chosen[:-1]]
    index = (packed[chosen] & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    return index, np.append(np.flatnonzero(opens), len(chosen))


def covered(later: Ints, n: int, sizes_before: Ints, text: Ints, num_texts: int) -> Any:
    """(N,) characters of the words inside any of some n-grams, each word once.

    Args:
        later: (M,) sorted first words of the n-grams.
        n: words in each.
        sizes_before: (W + 1,) characters of the words before each.
        text: (W,) index of each word's text.
        num_texts: N.
    """
    if not len(later):
        return np.zeros(num_texts)
    stop = np.minimum(later + n, np.append(later[1:], later[-1] + n))
    return np.bincount(text[later], weights=sizes_before[stop] - sizes_before[later], minlength=num_texts)


def most_frequent(repeated: Repeated, sizes_before: Ints, text: Ints, num_texts: int) -> Any:
    """(N,) characters times count of the most frequent repeated n-gram (of equally frequent the longest), or 0."""
    best = np.zeros(num_texts, np.int64)
    if len(repeated.at):
        first = repeated.at[repeated.group[:-1]]
        size = sizes_before[first + repeated.n] - sizes_before[first]
        np.maximum.at(best, text[first], np.diff(repeated.group) << 32 | size)
    return (best >> 32) * (best & 0xFFFFFFFF)


def seen_before(hashes: Hashes, text: Ints) -> Bools:
    """Which of some spans, in order, have an equal one earlier in the same text."""
    found, group = _equal(mixed(hashes + text.astype(np.uint64) * _SALT), np.arange(len(hashes)))
    again = np.zeros(len(hashes), np.bool_)
    again[found] = True
    again[found[group[:-1]]] = False
    return again


def word_sizes(words: Words) -> Ints:
    """(W + 1,) characters of the words before each."""
    return before(words.end - words.start)
