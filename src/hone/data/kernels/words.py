"""Words of many texts at once, with a 64-bit hash each, and hashes of runs of words.

The splitter is named and recorded wherever its words are used, because it decides more than thresholds do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import ALONE, CONNECTOR, DIGIT, LETTER, MARK, SPACE, Piece

Ints = np.ndarray[Any, np.dtype[np.int64]]
Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)
_STEP = np.uint64(0x100000001B3)


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The words of one piece.

    ``start``, ``end`` (W,) positions in the piece's code points; ``text`` (W,) index of the text within the piece;
    ``hash`` (W,) uint64, equal for equal words (lower case unless asked otherwise); ``first`` (N + 1,): the words of
    text ``i`` are ``first[i]`` to ``first[i + 1]``; ``piece``: where they are from.
    """

    start: Ints
    end: Ints
    text: Ints
    hash: Hashes
    first: Ints
    piece: Piece


def whitespace(classes: Any) -> tuple[Bools, Bools]:
    """``str.split``: runs of what is not white space."""
    inside = (classes & SPACE) == 0
    return inside, np.zeros_like(inside)


def unicode_words(classes: Any) -> tuple[Bools, Bools]:
    """Runs of letters, marks, digits and connectors; a Han, Hiragana or Katakana sign is a word of its own."""
    inside = (classes & (LETTER | MARK | DIGIT | CONNECTOR)) != 0
    return inside, inside & ((classes & ALONE) != 0)


SPLITTERS: dict[str, Callable[[Any], tuple[Bools, Bools]]] = {"whitespace": whitespace, "unicode-words": unicode_words}
"""Name to splitter: from classes (C,) to which code points are inside words, and which begin one of their own."""


def split_words(piece: Piece, splitter: str = "unicode-words", *, lower: bool = True, numbers: bool = True) -> Words:
    """The words of a piece.

    Args:
        piece: texts as code points.
        splitter: a name of :data:`SPLITTERS`.
        lower: hash the lower case.
        numbers: False hashes every digit as ``0``, which makes texts that differ in their numbers alone equal.
    """
    classes = piece.classes()
    inside, alone = SPLITTERS[splitter](classes)
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    if alone.any():
        # A sign of its own begins a word, and so does whatever follows it, except the marks that belong to it.
        marks = (classes & MARK) != 0
        begins |= alone
        begins[1:] |= inside[1:] & ~marks[1:] & _alone_before(alone, marks)[:-1]
    ends = inside.copy()
    ends[:-1] &= ~inside[1:] | begins[1:]
    start = np.flatnonzero(begins)
    end = np.flatnonzero(ends) + 1
    first = np.searchsorted(start, piece.start)
    codes = piece.lower() if lower else piece.codes
    if not numbers:
        codes = np.where((classes & DIGIT) != 0, np.uint32(ord("0")), codes)
    text = np.repeat(np.arange(len(first) - 1), np.diff(first))
    return Words(start, end, text, span_hashes(codes, start, end), first, piece)


def _alone_before(alone: Bools, marks: Bools) -> Bools:
    """Where the last code point that is not a mark is a sign of its own."""
    index = np.where(marks, 0, np.arange(len(alone)))
    return alone[np.maximum.accumulate(index)]


def span_hashes(codes: Any, start: Ints, end: Ints) -> Hashes:
    """(S,) uint64 hash of each span ``codes[start:end]``; an empty span hashes like every other empty one.

    A polynomial over the code points, modulo 2**64, from one prefix sum, then mixed.
    """
    powers, inverses = _powers(len(codes))
    sums = np.zeros(len(codes) + 1, np.uint64)
    terms = codes + np.uint64(1)
    terms *= powers[: len(codes)]
    np.cumsum(terms, out=sums[1:])
    return mixed((sums[end] - sums[start]) * inverses[start])


def mixed(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit values (the finalizer of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def ngrams(words: Words, n: int) -> tuple[Hashes, Ints]:
    """Hashes (G,) of every run of ``n`` words that lies within one text, and the index (G,) of its first word."""
    count = len(words.hash) - n + 1
    if count <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    grams = words.hash[:count].copy()
    for k in range(1, n):
        grams *= _STEP
        grams += words.hash[k : count + k]
    whole = words.text[:count] == words.text[n - 1 :]
    return mixed(grams[whole]), np.flatnonzero(whole)


def _powers(size: int) -> tuple[Hashes, Hashes]:
    """Powers of the base and of its inverse, at least ``size`` + 1 of each."""
    return _powers_of(1 << max(18, size.bit_length()))


@cache
def _powers_of(size: int) -> tuple[Hashes, Hashes]:
    def of(base: int) -> Hashes:
        steps = np.full(size + 1, base, np.uint64)
        steps[0] = 1
        return np.cumprod(steps, dtype=np.uint64)

    return of(_BASE), of(_INVERSE)
