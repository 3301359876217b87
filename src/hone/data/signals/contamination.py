"""Training rows against the test and benchmarks: shared runs of words, with the spans that prove it.

A row is held against :class:`~hone.data.fingerprints.Fingerprints`; no test text is here, and what is shown is
training text. A match of the longest n-gram is strong evidence, of the shortest a hint: ready phrases of eight words
are shared without anybody having copied. Which share of a row is too much is for a rule to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.fingerprints import Fingerprints, scanned, whole_hashes
from hone.data.kernels.words import Ints, Words, ngrams
from hone.data.signals.base import SPAN
from hone.data.table import texts

WHOLE = "whole"


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What one piece of a batch shares with the tests.

    ``words`` of the piece, whose first text has index ``first`` in the batch; ``cover`` (W,): for each word the
    length of the longest n-gram over it that matched, else 0; ``places`` (N,): matches of the longest n-grams that
    are looked for; ``text``, ``row``, ``size`` (M,): index in the batch, test row and length of each match; ``equal``
    (2, E): index in the batch and test row where a whole text equals a test row.
    """

    words: Words
    first: int
    cover: Ints
    places: Ints
    text: Ints
    row: Ints
    size: Ints
    equal: Ints


@dataclass(frozen=True, kw_only=True, slots=True)
class Contamination:
    """What training rows share with tests, as the columns ``contamination.``.

    ``share`` of the words under a match (null without words); ``whole``: the text or its input equals a test row after
    folding; ``spans``: matches that touch, merged and named after the longest; ``against``: names of the tests, null
    where none; ``ngrams``: how many of the longest n-grams (13 words) matched, the only ones that a rule should drop
    rows for. Where a script has no spaces each sign counts as a word, so 13 of them say less.
    """

    name: ClassVar[str] = "contamination"
    version: ClassVar[str] = "1"

    fingerprints: Fingerprints

    @property
    def params(self) -> Mapping[str, Any]:
        """The digest of the fingerprints: another test gives other columns."""
        return {"fingerprints": self.fingerprints.digest}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """One row of columns per row of the batch."""
        given = texts(rows)
        share = np.full(len(given), np.nan, np.float32)
        places = np.zeros(len(given), np.int32)
        spans: list[list[dict[str, Any]]] = [[] for _ in given]
        tests: list[set[int]] = [set() for _ in given]
        equal = [self.equal_inputs(given, texts(rows, "input"))]
        for found in self.matches(given):
            here = slice(found.first, found.first + len(found.places))
            num_words = np.diff(found.words.first)
            covered = np.bincount(found.words.text[found.cover > 0], minlength=len(num_words))
            np.divide(covered, num_words, out=share[here], where=num_words > 0, casting="same_kind")
            places[here] = found.places
            for text, kind, start, end in self._spans(found):
                spans[text].append({"kind": kind, "start": start, "end": end})
            self._note(tests, found.text, found.row)
            equal.append(found.equal)
        text, row = np.concatenate(equal, axis=1)
        self._note(tests, text, row)
        whole = np.bincount(text, minlength=len(given)) > 0
        share[whole] = 1
        for index in np.flatnonzero(whole):
            spans[index] = [{"kind": WHOLE, "start": 0, "end": len(given[index])}]
        against = [", ".join(self.fingerprints.names[number] for number in sorted(found)) or None for found in tests]
        columns = {
            "share": pa.array(share, pa.float32(), from_pandas=True),
            "whole": pa.array(whole),
            "spans": pa.array(spans, pa.list_(SPAN)),
            "against": pa.array(against, pa.string()),
            "ngrams": pa.array(places),
        }
        return pa.RecordBatch.from_arrays(list(columns.values()), [f"{self.name}.{figure}" for figure in columns])

    def matches(self, given: Sequence[str]) -> Iterator[Matches]:
        """What texts share with the tests, piece by piece."""
        for words, own, first in scanned(given):
            cover = np.zeros(len(words.hash) + 1, np.int64)
            places = np.zeros(len(own), np.int64)
            found = [np.zeros((3, 0), np.int64)]
            for size, table in sorted(self.fingerprints.grams.items()):
                grams, word = ngrams(words, size)
                hit = table.holds(grams)
                word = word[hit]
                if not len(word):
                    continue
                edges = np.bincount(word, minlength=len(cover)) - np.bincount(word + size, minlength=len(cover))
                cover[np.cumsum(edges) > 0] = size  # ascending sizes: the longest is written last
                if size == self.fingerprints.n[0]:
                    places += np.bincount(words.text[word], minlength=len(own))
                value, row = table.rows(grams[hit])
                found.append(np.stack([words.text[word[value]] + first, row, np.full(len(row), size)]))
            equal = self._equal(own) + np.array([[first], [0]])
            text, row, length = np.concatenate(found, axis=1)
            yield Matches(words, first, cover[:-1], places, text, row, length, equal)

    def equal_inputs(self, given: Sequence[str], inputs: Sequence[str]) -> Ints:
        """(2, E) index in the batch and test row of every row whose input equals a test row, folded.

        Most documents are their own input; those are left to :meth:`matches`.
        """
        other = np.array([index for index, text in enumerate(inputs) if text != given[index]], np.int64)
        text, row = self._equal([inputs[index] for index in other.tolist()])
        return np.stack([other[text], row])

    def _equal(self, own: Sequence[str]) -> Ints:
        hashes, some = whole_hashes(own)
        same = np.flatnonzero(some & self.fingerprints.whole.holds(hashes))
        value, row = self.fingerprints.whole.rows(hashes[same])
        return np.stack([same[value], row])

    def _note(self, tests: list[set[int]], text: Ints, row: Ints) -> None:
        """Write down which tests the matched rows belong to."""
        pairs = np.unique(np.stack([text, self.fingerprints.owner[row]]), axis=1)
        for index, number in pairs.T.tolist():
            tests[index].add(number)

    def _spans(self, found: Matches) -> Iterator[tuple[int, str, int, int]]:
        """(text, kind, start, end) of every run of covered words; a run ends with its text."""
        words, covered = found.words, found.cover > 0
        apart = words.text[1:] != words.text[:-1]
        begins, ends = covered.copy(), covered.copy()
        begins[1:] &= ~covered[:-1] | apart
        ends[:-1] &= ~covered[1:] | apart
        first = np.flatnonzero(begins)
        if not len(first):
            return
        longest = np.maximum.reduceat(found.cover, first)
        for begin, end, size in zip(first.tolist(), np.flatnonzero(ends).tolist(), longest.tolist(), strict=True):
            text = int(words.text[begin])
            offset = int(words.piece.start[text])
            kind = f"{size}-gram" if size in self.fingerprints.n else WHOLE
            yield found.first + text, kind, int(words.start[begin]) - offset, int(words.end[end]) - offset
