"""The Gopher repetition figures (Rae et al. 2021, arXiv 2112.11446, table A1).

Definitions, where implementations differ:

* Lines and paragraphs (runs of lines between empty ones) count as duplicates from their second occurrence on, and are
  compared exactly, but for white space at their ends; lines of white space are none (datatrove counts them, so a page
  with a few no-break spaces fails there). Their characters are divided by all characters of the text.
* ``top_<n>gram``: of the n-grams that occur at least twice, the most frequent one; its characters times its count. Of
  equally frequent ones the longest counts. Nothing that occurs once counts (datatrove has no minimum count, so a text
  of one long n-gram fails there). Occurrences that overlap count each; the share ends at 1.
* ``dup_<n>gram``: words inside any occurrence but the first of an n-gram that repeats, each word once, as the paper has
  it ("we count each character once"); datatrove walks and jumps n words at a hit, which finds the same or less.
* For n-grams, characters are those of the words, over the characters of all words, as RedPajama-Data v2; datatrove
  divides by the whole text, so its shares are lower by the share of blanks and punctuation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hone.data.kernels.repetition import covered, most_frequent, repeated_ngrams, seen_before, word_sizes
from hone.data.kernels.scan import Scan, share
from hone.data.kernels.words import Ints
from hone.data.signals.scanned import Figures, ScannedSignal
from hone.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Repetition(ScannedSignal):
    """Shares of what repeats inside a text; null where it has no line (or no word).

    ``repetition.dup_lines``, ``.dup_paragraphs`` (shares of their number), ``.dup_line_chars``,
    ``.dup_paragraph_chars`` (of the characters), ``.top_2gram`` ... and ``.dup_5gram`` ... (of the words' characters).
    """

    name: ClassVar[str] = "repetition"
    version: ClassVar[str] = "1"
    splitter: str = "unicode-words"
    top: tuple[int, ...] = (2, 3, 4)
    dup: tuple[int, ...] = (5, 6, 7, 8, 9, 10)

    def __post_init__(self) -> None:
        super().__post_init__()
        short = sorted({n for n in (*self.top, *self.dup) if n < 2})
        if short:
            raise InputError(f"repetition: n-grams need n >= 2, given {', '.join(map(str, short))}")

    def figures(self, scan: Scan) -> Figures:
        """Columns ``repetition.*``."""
        lines = scan.lines
        line_hash, paragraph_hash = lines.hashes
        start, end, text = lines.paragraphs
        found: dict[str, Any] = {}
        for name, spans in (
            ("line", (lines.start, lines.end, lines.text, line_hash)),
            ("paragraph", (start, end, text, paragraph_hash)),
        ):
            number, chars = _duplicates(*spans, scan.num_texts)
            found[f"repetition.dup_{name}s"] = number
            found[f"repetition.dup_{name}_chars"] = share(chars, np.where(np.isnan(number), 0, scan.chars))
        return found | self._ngrams(scan)

    def _ngrams(self, scan: Scan) -> dict[str, Any]:
        words, count = scan.words(self.splitter), scan.num_texts
        sizes_before = word_sizes(words)
        whole = sizes_before[words.first[1:]] - sizes_before[words.first[:-1]]
        found: dict[str, Any] = {}
        for repeated in repeated_ngrams(words, max((*self.top, *self.dup), default=0)):
            if repeated.n in self.top:
                chars = most_frequent(repeated, sizes_before, words.text, count)
                found[f"repetition.top_{repeated.n}gram"] = share(np.minimum(chars, whole), whole)
            if repeated.n in self.dup:
                chars = covered(repeated.later, repeated.n, sizes_before, words.text, count)
                found[f"repetition.dup_{repeated.n}gram"] = share(chars, whole)
        return {name: found[name] for name in self._names()}

    def _names(self) -> Iterable[str]:
        yield from (f"repetition.top_{n}gram" for n in self.top)
        yield from (f"repetition.dup_{n}gram" for n in self.dup)


def _duplicates(start: Ints, end: Ints, text: Ints, hashes: Any, num_texts: int) -> tuple[Any, Any]:
    """(N,) share of spans that have an equal earlier one in their text, and the characters in them."""
    again = seen_before(hashes, text)
    whole = np.bincount(text, minlength=num_texts)
    number = np.bincount(text[again], minlength=num_texts)
    chars = np.bincount(text[again], weights=(end - start)[again], minlength=num_texts)
    return share(number, whole), chars
