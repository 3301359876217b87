"""Lines and paragraphs of many texts at once.

A line ends at a line feed; white space at its two ends is not part of it, and a line of white space alone is no line.
A paragraph is a run of lines with no such empty line between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import SPACE, Piece
from hone.data.kernels.words import Hashes, Ints, span_hashes

_LINE_FEED = 10


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of one piece.

    ``start``, ``end`` (L,) positions in the piece's code points, white space at both ends left out; ``first`` (N + 1,):
    the lines of text ``i`` are ``first[i]`` to ``first[i + 1]``; ``run`` (L + 1,): the runs of what is not white space
    in line ``j`` are ``run[j]`` to ``run[j + 1]``; ``run_start``, ``run_end`` (R,) those runs, which are the words of
    ``str.split``; ``opens`` (L,) bool, the line begins a paragraph; ``feeds`` (N,) line feeds in each text.
    """

    start: Ints
    end: Ints
    first: Ints
    run: Ints
    run_start: Ints
    run_end: Ints
    opens: np.ndarray[Any, np.dtype[np.bool_]]
    feeds: Ints
    piece: Piece

    @cached_property
    def text(self) -> Ints:
        """(L,) index of the text within the piece."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    @cached_property
    def paragraphs(self) -> tuple[Ints, Ints, Ints]:
        """(P,) start, end and text of each paragraph."""
        opening = np.flatnonzero(self.opens)
        last = np.append(opening[1:], len(self.start))[: len(opening)] - 1
        return self.start[opening], self.end[last], self.text[opening]

    @cached_property
    def hashes(self) -> tuple[Hashes, Hashes]:
        """uint64 hashes of the lines (L,) and of the paragraphs (P,): equal for equal text, case included."""
        start, end, _ = self.paragraphs
        both = span_hashes(self.piece.codes, np.concatenate([self.start, start]), np.concatenate([self.end, end]))
        return both[: len(self.start)], both[len(self.start) :]

    def line_of(self, positions: Ints) -> Ints:
        """The line that each position is in; the positions lie inside lines."""
        return np.searchsorted(self.start, positions, side="right") - 1


def split_lines(piece: Piece) -> Lines:
    """The lines of a piece."""
    inside = (piece.classes() & SPACE) == 0
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if len(inside) and inside[0]:
        edges = np.concatenate([[0], edges])
    run_start, run_end = edges[::2], edges[1::2]  # a piece ends with a line feed, so the last run has its end
    breaks = np.flatnonzero(piece.codes == _LINE_FEED)
    bounds = np.concatenate([[0], np.searchsorted(run_start, breaks)])
    full = np.flatnonzero(np.diff(bounds) > 0)  # raw lines that hold anything
    run = np.append(bounds[full], len(run_start))
    raw_first = np.searchsorted(breaks, piece.start)  # raw lines of text i: raw_first[i] to raw_first[i + 1]
    first = np.searchsorted(full, raw_first)
    opens = np.ones(len(full), np.bool_)
    opens[1:] = np.diff(full) > 1
    opens[first[:-1][np.diff(first) > 0]] = True
    return Lines(
        start=run_start[run[:-1]],
        end=run_end[run[1:] - 1],
        first=first,
        run=run,
        run_start=run_start,
        run_end=run_end,
        opens=opens,
        feeds=np.diff(raw_first) - 1,
        piece=piece,
    )
