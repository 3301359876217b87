"""The Gopher quality figures (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1).

The numbers are defined over words, so the splitter decides more than any threshold: it is a parameter. Where
implementations differ:

* mean word length: the mean, as in the paper (dolma takes the median);
* bullets: lines that begin with ``•`` or ``-``, as datatrove; RedPajama-Data v2 knows ten characters;
* ellipsis: ``…`` or a run of at least three dots, which counts once; at line ends dolma knows ``…`` alone;
* stop words: how many *different* ones of the eight occur, whatever their case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from hone.data.kernels.codepoints import DIGIT, LETTER, MARK, pieces
from hone.data.kernels.scan import Scan, group_sums, member, share
from hone.data.kernels.words import Bools, Hashes, Ints, Words, split_words
from hone.data.signals.scanned import Figures, ScannedSignal
from hone.errors import InputError

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
BULLETS = "•-"
_ELLIPSIS = 0x2026
_LOW_BITS = np.uint64(0xFFFF)


@dataclass(frozen=True, kw_only=True)
class Quality(ScannedSignal):
    """Counts and shares that the Gopher quality rules judge.

    ``quality.words``: words that are not symbols alone (int32). Null where a text has no word: ``.mean_word_length``,
    ``.hash_ratio`` and ``.ellipsis_ratio`` (``#`` and ellipses per word), ``.alphabetic_words`` (share of words with a
    letter). Null where it has no line: ``.bullet_lines``, ``.ellipsis_lines`` (shares). ``.stop_words``: 0 to 8.
    """

    name: ClassVar[str] = "quality"
    version: ClassVar[str] = "1"
    splitter: str = "unicode-words"
    stop_words: tuple[str, ...] = STOP_WORDS

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stop_words or any(len(word.split()) != 1 for word in self.stop_words):
            raise InputError(f"quality.stop_words: a list of single words is needed, given {list(self.stop_words)}")

    def figures(self, scan: Scan) -> Figures:
        """Columns ``quality.*``."""
        words = scan.words(self.splitter)
        num_words = np.diff(words.first)
        classes = _classes(scan, words)
        real = classes != 0
        num_real = group_sums(real, words.first)
        sizes = np.where(real, words.end - words.start, 0)
        dots, dotted_lines = _ellipses(scan)
        codes, lines = scan.piece.codes, scan.lines
        num_lines = np.diff(lines.first)
        bullets = group_sums(member(codes[lines.start], BULLETS), lines.first)
        return {
            "quality.words": num_real,
            "quality.mean_word_length": share(group_sums(sizes, words.first), num_real),
            "quality.hash_ratio": share(scan.per_text(scan.at(ord("#"))), num_words),
            "quality.ellipsis_ratio": share(dots, num_words),
            "quality.bullet_lines": share(bullets, num_lines),
            "quality.ellipsis_lines": share(dotted_lines, num_lines),
            "quality.alphabetic_words": share(group_sums((classes & LETTER) != 0, words.first), num_words),
            "quality.stop_words": _distinct(words, self.stop_words, self.splitter),
        }


def _classes(scan: Scan, words: Words) -> Any:
    """(W,) the classes of the code points of each word together, as far as words are made of them."""
    if not len(words.start):
        return np.zeros(0, np.uint8)
    # From each word to the next: what stands between words is neither letter nor digit nor mark, by either splitter.
    found: Any = np.bitwise_or.reduceat(scan.piece.classes(), words.start)
    return found & (LETTER | DIGIT | MARK)


def _ellipses(scan: Scan) -> tuple[Ints, Ints]:
    """(N,) ellipses in each text, and lines that end in one. A run of three dots or more is one ellipsis."""
    codes, lines = scan.piece.codes, scan.lines
    triple = scan.at(ord("."))
    for k in (1, 2):  # the piece ends with a line feed, so there is always a next sign
        triple = triple[codes[triple + k] == ord(".")]
    opens = triple[codes[triple - 1] != ord(".")]
    closing = (codes[lines.end - 1] == _ELLIPSIS) | np.isin(lines.end - 3, triple)
    return scan.per_text(opens) + scan.per_text(scan.at(_ELLIPSIS)), group_sums(closing, lines.first)


def _distinct(words: Words, among: tuple[str, ...], splitter: str) -> Any:
    """(N,) how many different words of a short list each text holds."""
    known, place, may_be = _known(among, splitter)
    at = np.flatnonzero(may_be[words.hash & _LOW_BITS])  # one look-up per word leaves few to compare
    found = np.minimum(np.searchsorted(known, words.hash[at]), len(known) - 1)
    at, found = at[known[found] == words.hash[at]], found[known[found] == words.hash[at]]
    seen = np.zeros((len(words.first) - 1, len(among)), np.bool_)
    seen[words.text[at], place[found]] = True
    return seen.sum(axis=1)


@lru_cache(maxsize=16)
def _known(among: tuple[str, ...], splitter: str) -> tuple[Hashes, Ints, Bools]:
    """Sorted hashes of the words of a list, the place of each in it, and which low 16 bits they have."""
    (piece,) = pieces(among, chars=1 << 30)
    words = split_words(piece, splitter)
    order = np.argsort(words.hash)
    may_be = np.zeros(1 << 16, np.bool_)
    may_be[words.hash & _LOW_BITS] = True
    return words.hash[order], words.text[order], may_be
