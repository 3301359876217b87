"""What a corpus repeats most: its lines and its runs of words, with a row for each to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import Piece, pieces
from hone.data.kernels.frequent import Remembered, places, top
from hone.data.kernels.lines import split_lines
from hone.data.kernels.words import Hashes, ngrams, split_words
from hone.data.signals.boilerplate import KEYS, all_keys, flat, line_keys, offsets, source_hashes
from hone.data.table import texts


class Store(Protocol):
    """Rows of the text table by their position in the corpus."""

    def take(self, positions: Sequence[int]) -> pa.RecordBatch:
        """The rows at some positions."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TopLine:
    """A line of a source that ``rows`` rows hold; ``examples`` are the ids of the first of them."""

    text: str
    source: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TopNgram:
    """A run of words: ``text`` as it stands in its first row, ``count`` occurrences, the ids of some ``examples``."""

    text: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TopNgrams:
    """``ngrams``, the most frequent first.

    One that overlaps a more frequent one where it first occurs is left out. ``missing_at_most``: no other occurs more
    often than that.
    """

    ngrams: tuple[TopNgram, ...]
    missing_at_most: int


def top_lines(sketches: pa.Table, store: Store, k: int = 20, examples: int = 3) -> list[TopLine]:
    """The lines that most rows of their source share, those of at least two rows.

    Args:
        sketches: of :class:`~hone.data.signals.boilerplate.Boilerplate`; so short lines are not among them.
        store: where their rows are.
        k: how many lines.
        examples: how many rows to name for each.
    """
    keys, counts, _ = top(lambda: all_keys(sketches), k)
    keys, counts = keys[counts >= 2], counts[counts >= 2]
    holders = _holders(sketches, keys, examples)
    found = []
    for key, count, positions in zip(keys.tolist(), counts.tolist(), holders, strict=True):
        rows = store.take(positions)
        source = rows.column("source")[0].as_py() or ""
        line = _line_with(rows.slice(0, 1), key)
        found.append(TopLine(text=line, source=source, rows=count, examples=tuple(rows.column("row").to_pylist())))
    return found


def _holders(sketches: pa.Table, keys: Hashes, examples: int) -> list[list[int]]:
    """For each key the positions of the first rows that hold it."""
    order = np.argsort(keys)
    found: list[list[int]] = [[] for _ in keys]
    begin = 0
    for chunk in sketches.column(KEYS).chunks:
        place, known = places(flat(chunk), keys[order])
        row = np.repeat(np.arange(len(chunk)), np.diff(offsets(chunk)))
        for index, position in zip(order[place[known]].tolist(), row[known].tolist(), strict=True):
            if len(found[index]) < examples:
                found[index].append(begin + position)
        begin += len(chunk)
        if all(len(positions) >= examples for positions in found):
            break
    return found


def _line_with(row: pa.RecordBatch, key: int) -> str:
    (piece,) = pieces(texts(row))
    lines = split_lines(piece)
    sources = source_hashes(row)[np.zeros(len(lines.start), np.int64)]
    index = int(np.flatnonzero(line_keys(piece, lines.start, lines.end, sources) == np.uint64(key))[0])
    return _string(piece, int(lines.start[index]), int(lines.end[index]))


def top_ngrams(
    batches: Callable[[], Iterable[pa.RecordBatch]],
    n: int = 5,
    k: int = 20,
    splitter: str = "unicode-words",
    examples: int = 3,
) -> TopNgrams:
    """The runs of ``n`` words that occur most often, those that occur at least twice, whatever their case.

    Args:
        batches: gives the batches of the text table anew each time it is called: they are read twice, and once more
            where there are more than eight million runs.
        n: words in a run.
        k: how many.
        splitter: name of the word splitter.
        examples: how many rows to name for each.
    """

    def all_pieces() -> Iterator[tuple[pa.RecordBatch, Piece]]:
        for batch in batches():
            for piece in pieces(texts(batch)) if batch.num_rows else ():
                yield batch, piece

    hashes = Remembered(lambda: (ngrams(split_words(piece, splitter), n)[0] for _, piece in all_pieces()))
    keys, counts, missing = top(hashes, 5 * k + 20)
    keys, counts = keys[counts >= 2], counts[counts >= 2]
    order = np.argsort(keys)
    found: list[list[_Place]] = [[] for _ in keys]
    for (batch, piece), own in zip(all_pieces(), hashes(), strict=True):
        place, known = places(own, keys[order])
        if not any(len(found[index]) < examples for index in set(order[place[known]].tolist())):
            continue
        words = split_words(piece, splitter)
        at = ngrams(words, n)[1][known]
        for first, index in zip(at.tolist(), order[place[known]].tolist(), strict=True):
            if len(found[index]) < examples:
                row = batch.column("row")[piece.first + int(words.text[first])].as_py()
                if row not in {place.row for place in found[index]}:
                    begin, end = int(words.start[first]), int(words.end[first + n - 1])
                    text_start = int(piece.start[words.text[first]])
                    shown = _string(piece, begin, end)
                    found[index].append(_Place(row=row, start=begin - text_start, end=end - text_start, text=shown))
    return _without_shifted(found, counts.tolist(), k, missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    row: str
    start: int
    end: int
    text: str


def _without_shifted(found: list[list[_Place]], counts: list[int], k: int, missing: int) -> TopNgrams:
    """The first ``k`` that do not overlap one before them: the same sentence one word on says nothing new."""
    kept: list[TopNgram] = []
    taken: dict[str, list[tuple[int, int]]] = {}
    for places_of, count in zip(found, counts, strict=True):
        first = places_of[0]
        if any(first.start < end and start < first.end for start, end in taken.get(first.row, ())):
            continue
        if len(kept) == k:
            return TopNgrams(ngrams=tuple(kept), missing_at_most=max(count, missing))
        taken.setdefault(first.row, []).append((first.start, first.end))
        kept.append(TopNgram(text=first.text, count=count, examples=tuple(place.row for place in places_of)))
    return TopNgrams(ngrams=tuple(kept), missing_at_most=missing)


def _string(piece: Piece, start: int, end: int) -> str:
    written: bytes = piece.codes[start:end].tobytes()
    return written.decode("utf-32-le", "surrogatepass")
