"""One reading of a piece of texts, shared by all who measure it: words, lines and sums per text, each made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import Piece
from hone.data.kernels.lines import Lines, split_lines
from hone.data.kernels.words import Bools, Ints, Words, split_words


class Scan:
    """What signals ask of a piece with N texts. Everything is made when first asked for and kept.

    ``rows``: the rows of the text table that the texts are of.
    """

    def __init__(self, piece: Piece, rows: pa.RecordBatch) -> None:
        self.piece = piece
        self.num_texts = len(piece.start) - 1
        self.rows = rows.slice(piece.first, self.num_texts)
        self._words: dict[str, Words] = {}

    def words(self, splitter: str) -> Words:
        """The words, by a named splitter, with hashes of their lower case."""
        if splitter not in self._words:
            self._words[splitter] = split_words(self.piece, splitter)
        return self._words[splitter]

    @cached_property
    def lines(self) -> Lines:
        """The lines and paragraphs."""
        return split_lines(self.piece)

    @cached_property
    def chars(self) -> Ints:
        """(N,) characters (code points) of each text."""
        return np.diff(self.piece.start) - 1

    @cached_property
    def lowered(self) -> str:
        """The piece as one string in lower case; a position in it is a position in the piece."""
        return self.piece.lower().tobytes().decode("utf-32-le", "surrogatepass")

    def find(self, phrases: Sequence[str]) -> Ints:
        """Sorted positions at which one of some lower-case phrases begins, as part of a word too."""
        found = []
        for phrase in phrases:
            at = self.lowered.find(phrase)
            while at >= 0:
                found.append(at)
                at = self.lowered.find(phrase, at + 1)
        return np.unique(np.array(found, np.int64))

    def at(self, code: int) -> Ints:
        """Sorted positions of one code point."""
        return np.flatnonzero(self.piece.codes == code)

    def per_text(self, positions: Ints) -> Ints:
        """(N,) how many of some sorted positions lie in each text."""
        return np.diff(np.searchsorted(positions, self.piece.start))

    def count_per_text(self, flags: Bools) -> Ints:
        """(N,) how many code points of each text are flagged; ``flags`` (C,)."""
        # Counting a slice is so fast that a loop over texts beats every way of summing them at once.
        bounds = self.piece.start.tolist()
        return np.array([np.count_nonzero(flags[begin:end]) for begin, end in pairwise(bounds)], np.int64)


def before(values: Any) -> Ints:
    """(V + 1,) sums of the values before each position: ``sums[b] - sums[a]`` is the sum of ``values[a:b]``."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def group_sums(values: Any, first: Ints) -> Ints:
    """(N,) sums of the values of each group, where ``first`` (N + 1,) says where groups begin; 0 for an empty one.

    Flags are counted.
    """
    if values.dtype == np.bool_:
        return np.diff(np.searchsorted(np.flatnonzero(values), first))
    return np.diff(before(values)[first])


def share(part: Any, whole: Any) -> Any:
    """``part / whole`` as float64, not a number where the whole is nothing: it cannot be measured."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def member(codes: Any, among: str) -> Bools:
    """Which code points are one of a few characters."""
    found = np.zeros(codes.shape, np.bool_)
    for char in among:
        found |= codes == ord(char)
    return found
