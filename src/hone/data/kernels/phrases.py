"""Finding hundreds of phrases in many texts at once, by the hashes of their words.

A word is looked up in a table of 65,536 bits first, which is one step for nearly all words; only words that may begin
a phrase are compared further. So the cost hardly depends on the number of phrases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import Piece, pieces
from hone.data.kernels.words import Bools, Hashes, Ints, Words, mixed, split_words

SPLITTER = "unicode-words"
_BITS = 0xFFFF
_STEP = np.uint64(0x100000001B3)
_JOINERS = re.compile(r"[\s\-\u2010-\u2013]+")


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Where phrases are, in the order of the text; none overlaps another (the first and longest wins).

    ``phrase`` (H,) index of the phrase; ``text`` (H,) index of the text within the piece; ``start``, ``end`` (H,)
    positions in the piece's code points; ``word`` (H,) index of the first word, or of the word before a sign.
    """

    phrase: Ints
    text: Ints
    start: Ints
    end: Ints
    word: Ints


@dataclass(frozen=True, slots=True, eq=False)
class PhraseTable:
    """Phrases made ready by :func:`phrase_table`."""

    phrases: tuple[str, ...]
    begins: Bools
    lengths: tuple[int, ...]
    hashes: dict[int, Hashes]
    indices: dict[int, Ints]
    gaps: dict[int, tuple[str, ...]]
    signs: tuple[tuple[int, tuple[int, ...]], ...]

    def find(self, words: Words) -> Hits:
        """The phrases in the words of a piece (split by :data:`SPLITTER`, lower case).

        The words of a phrase may stand apart by white space, a line feed or a hyphen, whichever the phrase has; any
        other character between them must be the phrase's own, so no phrase reaches over the end of a sentence.
        """
        found = [self._of_length(words, n) for n in self.lengths]
        found += [self._sign(words, index, codes) for index, codes in self.signs]
        if not found:
            return _hits(np.zeros((0, 4), np.int64), words)
        rows = np.concatenate(found)
        rows = rows[np.lexsort((-rows[:, 2], rows[:, 1]))]  # by start, the longest first
        return _hits(rows[_apart(rows)], words)

    def _of_length(self, words: Words, n: int) -> Ints:
        """(H, 4) phrase, start, end, first word of each hit of ``n`` words."""
        candidates = np.flatnonzero(self.begins[words.hash & np.uint64(_BITS)])
        candidates = candidates[candidates + n <= len(words.hash)]
        candidates = candidates[words.text[candidates] == words.text[candidates + n - 1]]
        grams = words.hash[candidates]
        for k in range(1, n):
            grams = grams * _STEP + words.hash[candidates + k]
        grams = mixed(grams)
        table = self.hashes[n]
        at = np.minimum(np.searchsorted(table, grams), len(table) - 1)
        equal = table[at] == grams
        first, phrase = candidates[equal], self.indices[n][at[equal]]
        rows = np.stack([phrase, words.start[first], words.end[first + n - 1], first], axis=1)
        if n == 1:
            return rows
        fits = [_gaps(words, int(row[3]), n) == self.gaps[int(row[0])] for row in rows]
        kept: Ints = rows[np.asarray(fits, bool)]
        return kept

    def _sign(self, words: Words, index: int, codes: tuple[int, ...]) -> Ints:
        """Hits of a phrase without any letter or digit, an emoji for instance: wherever it stands."""
        text = words.piece.codes
        size = len(text) - len(codes) + 1
        here = np.ones(max(size, 0), bool)
        for k, code in enumerate(codes):
            here &= text[k : size + k] == code
        start = np.flatnonzero(here)
        word = np.maximum(np.searchsorted(words.start, start) - 1, 0)
        return np.stack([np.full_like(start, index), start, start + len(codes), word], axis=1)


def phrase_table(phrases: Sequence[str]) -> PhraseTable:
    """Make phrases ready to be found. Case does not matter; of phrases with the same words the first one counts."""
    hashes: dict[int, list[int]] = {}
    indices: dict[int, list[int]] = {}
    gaps: dict[int, tuple[str, ...]] = {}
    signs: list[tuple[int, tuple[int, ...]]] = []
    begins = np.zeros(_BITS + 1, bool)
    for piece in pieces(phrases):
        words = split_words(piece, SPLITTER)
        for local in range(len(words.first) - 1):
            first, n = int(words.first[local]), int(words.first[local + 1] - words.first[local])
            index = piece.first + local
            if n == 0:
                codes = tuple(map(ord, phrases[index].strip()))
                signs += [(index, codes)] if codes else []
                continue
            gram = words.hash[first : first + 1]
            for k in range(1, n):
                gram = gram * _STEP + words.hash[first + k : first + k + 1]
            begins[int(words.hash[first]) & _BITS] = True
            hashes.setdefault(n, []).append(int(mixed(gram)[0]))
            indices.setdefault(n, []).append(index)
            gaps[index] = _gaps(words, first, n)
    order = {n: np.argsort(np.array(values, np.uint64), kind="stable") for n, values in hashes.items()}
    return PhraseTable(
        phrases=tuple(phrases),
        begins=begins,
        lengths=tuple(sorted(hashes)),
        hashes={n: np.array(hashes[n], np.uint64)[order[n]] for n in hashes},
        indices={n: np.array(indices[n], np.int64)[order[n]] for n in hashes},
        gaps=gaps,
        signs=tuple(signs),
    )


def _gaps(words: Words, first: int, n: int) -> tuple[str, ...]:
    """What stands between ``n`` words, hyphens and white space as one space, apostrophes straight."""
    return tuple(
        _JOINERS.sub(" ", _string(words.piece, int(words.end[at]), int(words.start[at + 1]))).replace("\u2019", "'")
        for at in range(first, first + n - 1)
    )


def _string(piece: Piece, start: int, end: int) -> str:
    return piece.codes[start:end].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _apart(rows: Ints) -> Bools:
    """Which of the hits, ordered by start and then the longest, do not overlap one that was taken before."""
    keep = np.ones(len(rows), bool)
    reached = 0
    for index, (start, end) in enumerate(rows[:, 1:3].tolist()):
        keep[index] = start >= reached
        if keep[index]:
            reached = end
    return keep


def _hits(rows: Any, words: Words) -> Hits:
    text = np.searchsorted(words.piece.start, rows[:, 1], side="right") - 1
    return Hits(phrase=rows[:, 0], text=text, start=rows[:, 1], end=rows[:, 2], word=rows[:, 3])
