"""Texts as hashed n-grams of words and characters, and as rows of TF-IDF weights.

Legend: N texts, Z features of all texts together, D features that a vocabulary knows.

A feature is a word, two words in a row, or 3 to 5 characters of a word with its borders; it is there or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.words import SPLITTERS, Ints, Words, mixed, ngrams, span_hashes, split_words

Floats = np.ndarray[Any, np.dtype[np.float32]]
Ids = np.ndarray[Any, np.dtype[np.uint32]]

WORD_RUNS = (1, 2)
CHARACTER_RUNS = (3, 4, 5)
MAX_TEXT_CHARS = 2_000
_SPACE = np.uint32(ord(" "))


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The features of texts: those of text ``i`` are ``ids[first[i]:first[i + 1]]``, ascending, each once.

    ``first`` (N + 1,) int64, ``ids`` (Z,) uint32 hashes.
    """

    first: Ints
    ids: Ids

    def take(self, rows: Ints) -> Features:
        """The features of some texts, in the order given."""
        counts = self.first[rows + 1] - self.first[rows]
        first = np.concatenate([[0], np.cumsum(counts)])
        return Features(first, self.ids[np.repeat(self.first[rows] - first[:-1], counts) + np.arange(first[-1])])


def features(texts: Sequence[str], max_text_chars: int = MAX_TEXT_CHARS) -> Features:
    """The features of texts, read up to ``max_text_chars`` characters each."""
    counts, ids = [np.zeros(1, np.int64)], [np.zeros(0, np.uint32)]
    for piece in pieces([text[:max_text_chars] for text in texts]):
        words = split_words(piece)
        row, hashes = zip(*_word_runs(words), *_character_runs(words), strict=True)
        # One sort of a single 64-bit key gives the order of rows and brings equal features together. (np.unique hashes
        # since numpy 2.3, which is fifty times slower.)
        key = np.concatenate(row).astype(np.uint64) << np.uint64(32)
        key |= np.concatenate(hashes) >> np.uint64(32)
        key.sort()
        key = key[np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]]
        counts.append(np.bincount((key >> np.uint64(32)).astype(np.int64), minlength=len(piece.start) - 1))
        ids.append(key.astype(np.uint32))
    return Features(np.cumsum(np.concatenate(counts)), np.concatenate(ids))


def _word_runs(words: Words) -> Iterator[tuple[Any, Any]]:
    for n in WORD_RUNS:
        hashes, first = ngrams(words, n)
        yield words.text[first], mixed(hashes + np.uint64(n))


def _character_runs(words: Words) -> Iterator[tuple[Any, Any]]:
    """Runs of characters inside a word, its borders counted as a space on each side."""
    inside, _ = SPLITTERS["unicode-words"](words.piece.classes())
    codes = np.full(len(inside) + 2, _SPACE)
    codes[1:-1] = np.where(inside, words.piece.lower(), _SPACE)
    for n in CHARACTER_RUNS:
        count = np.maximum(words.end - words.start + 2 - n + 1, 0)
        begin = np.cumsum(count) - count
        start = np.repeat(words.start - begin, count) + np.arange(count.sum())
        yield np.repeat(words.text, count), mixed(span_hashes(codes, start, start + n) ^ np.uint64(n))


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Texts as rows of unit length over D features: compressed rows ``first`` (N + 1,), ``column``, ``value``."""

    first: Ints
    column: np.ndarray[Any, np.dtype[np.int32]]
    value: Floats
    num_columns: int

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.first) - 1

    def blocks(self, rows: Ints, size: int) -> Iterator[tuple[Ints, Floats]]:
        """Rows ``size`` at a time, each with its dense block; the next block overwrites it."""
        buffer = np.zeros((min(size, len(rows)), self.num_columns), np.float32)
        for begin in range(0, len(rows), size):
            block = rows[begin : begin + size]
            counts = self.first[block + 1] - self.first[block]
            line = np.repeat(np.arange(len(block)), counts)
            at = np.repeat(self.first[block] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
            column = self.column[at]
            buffer[line, column] = self.value[at]
            yield block, buffer[: len(block)]
            buffer[line, column] = 0


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Known features: ``ids`` (D,) uint32 ascending, ``idf`` (D,) how rare each is."""

    ids: Ids
    idf: Floats

    @classmethod
    def of(cls, found: Features, max_features: int) -> Vocabulary:
        """The most frequent features that at least two texts hold, with their smoothed IDF."""
        ids, texts_with = np.unique(found.ids, return_counts=True)
        shared = np.flatnonzero(texts_with >= 2)
        top = np.sort(shared[np.argsort(-texts_with[shared], kind="stable")[:max_features]])
        idf = 1 + np.log(len(found.first) / (1 + texts_with[top]))
        return cls(ids[top], idf.astype(np.float32))

    def matrix(self, found: Features) -> Matrix:
        """Texts as rows; features that are not known are left out, and a text without any is a row of zeros."""
        num_rows = len(found.first) - 1
        if not len(self.ids):
            return Matrix(np.zeros_like(found.first), np.zeros(0, np.int32), np.zeros(0, np.float32), 0)
        column = np.minimum(np.searchsorted(self.ids, found.ids), len(self.ids) - 1)
        held = self.ids[column] == found.ids
        row = np.repeat(np.arange(num_rows, dtype=np.int32), np.diff(found.first))[held]
        column = column[held].astype(np.int32)
        value = self.idf[column]
        length = np.sqrt(np.bincount(row, value**2, minlength=num_rows)).astype(np.float32)
        first = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=num_rows))])
        return Matrix(first, column, value / length[row], len(self.ids))
