"""The C4 figures (Raffel et al. 2020, arXiv 1910.10683, section 2.2; the rules as in datatrove's ``C4QualityFilter``).

Every line rule is counted by itself, over all lines that hold something. Nothing is removed and nothing ends early:
a text with a curly brace still has its sentences counted. Definitions:

* ``{`` counts wherever it stands, as the paper has it; C4's code overlooks those in lines that other rules removed;
* a line's words are those of ``str.split``, as in C4's code, but each sign of a script without blanks is one;
* a line ends properly in one of ``terminals`` after citations at its end are taken away, and not in ``...``;
* "javascript", "lorem ipsum" and the policy phrases are found inside words too ("javascripts"), in any case; citations
  as they are written, ``[Edit]`` is none;
* sentences: those of the lines that pass all line rules (``terminal_rule=False`` leaves the end mark out: FineWeb).
  A sentence ends at ``. ? !`` (with closing quotes or brackets) before white space and no lower-case letter, or at
  their wide forms; the end of a line ends one too. C4 used NLTK's trained splitter: abbreviations differ.
* bad words: occurrences of the entries of ``words`` as whole words (or runs of them) (``unicode-words``), in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import SPACE
from hone.data.kernels.phrases import SPLITTER, PhraseTable, phrase_table
from hone.data.kernels.scan import Scan, group_sums, member
from hone.data.kernels.unspaced import longest_word, signs
from hone.data.kernels.words import Bools, Ints
from hone.data.signals.scanned import Figures, ScannedSignal

POLICY = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip
TERMINALS = ".?!\"'"
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_CITATIONS_AT_END = re.compile(rf"(?:{CITATION.pattern})+\Z")
_CLOSING = "\"')]\u201d\u2019\u00bb"
_ENDS, _WIDE_ENDS = ".?!", "\u3002\uff01\uff1f"


@dataclass(frozen=True, kw_only=True)
class C4(ScannedSignal):
    """Counts (int32) that the C4 rules judge.

    ``c4.curly_braces`` (``{``), ``.lorem_ipsum``, ``.citations``, ``.bad_words`` (null without a list), ``.sentences``.
    Lines: ``.javascript_lines``, ``.policy_lines``, ``.short_lines`` (of fewer than ``min_words`` words),
    ``.unterminated_lines``, ``.long_words`` (with a word of more than ``max_word`` characters) and ``.kept_lines``,
    which pass all rules.
    """

    name: ClassVar[str] = "c4"
    version: ClassVar[str] = "2"
    words: tuple[str, ...] = ()
    policy: tuple[str, ...] = POLICY
    min_words: int = 3
    max_word: int = 1000
    terminals: str = TERMINALS
    terminal_rule: bool = True

    def figures(self, scan: Scan) -> Figures:
        """Columns ``c4.*``."""
        first = scan.lines.first
        failed = {
            "c4.javascript_lines": _lines_with(scan, ("javascript",)),
            "c4.policy_lines": _lines_with(scan, self.policy),
            "c4.short_lines": _num_words(scan) < self.min_words,
            "c4.unterminated_lines": ~_terminated(scan, self.terminals),
            "c4.long_words": _long(scan, self.max_word),
        }
        kept = np.ones(len(scan.lines.start), np.bool_)
        for name, lines in failed.items():
            if self.terminal_rule or name != "c4.unterminated_lines":
                kept &= ~lines
        return {
            "c4.curly_braces": scan.per_text(scan.at(ord("{"))),
            "c4.lorem_ipsum": scan.per_text(scan.find(("lorem ipsum",))),
            **{name: group_sums(lines, first) for name, lines in failed.items()},
            "c4.kept_lines": group_sums(kept, first),
            "c4.sentences": group_sums(np.where(kept, sentences(scan), 0), first),
            "c4.citations": _citations(scan),
            "c4.bad_words": self._bad_words(scan),
        }

    def _bad_words(self, scan: Scan) -> Any:
        if not self.words:
            return pa.nulls(scan.num_texts, pa.int32())
        return np.bincount(_table(self.words).find(scan.words(SPLITTER)).text, minlength=scan.num_texts)


@lru_cache(maxsize=4)
def _table(phrases: tuple[str, ...]) -> PhraseTable:
    return phrase_table(phrases)


def sentences(scan: Scan) -> Ints:
    """(L,) sentences in each line, at least 1."""
    codes, lines = scan.piece.codes, scan.lines
    marks = np.flatnonzero(member(codes, _ENDS + _WIDE_ENDS))
    after = marks + 1
    for _ in range(2):
        after = after + member(codes[after], _CLOSING)
    line = lines.line_of(marks)
    within = after < lines.end[line]  # the last sentence of a line ends with the line
    marks, after, line = marks[within], after[within], line[within]
    blank = (scan.piece.classes()[after] & SPACE) != 0
    following = codes[lines.run_start[np.searchsorted(lines.run_start, np.where(blank, after, lines.start[line]))]]
    wide = member(codes[marks], _WIDE_ENDS) & ~member(codes[after], _ENDS + _WIDE_ENDS)
    stop = wide | (blank & ~_lower_case(following))
    return np.bincount(line[stop], minlength=len(lines.start)) + 1


def _lower_case(codes: Any) -> Bools:
    kinds, inverse = np.unique(codes, return_inverse=True)
    return np.array([chr(code).islower() for code in kinds.tolist()], np.bool_)[inverse] if len(kinds) else codes > 0


def _lines_with(scan: Scan, phrases: tuple[str, ...]) -> Bools:
    found = np.zeros(len(scan.lines.start), np.bool_)
    found[scan.lines.line_of(scan.find(phrases))] = True
    return found


def _terminated(scan: Scan, terminals: str) -> Bools:
    """(L,) lines that end in a terminal and not in three dots."""
    codes, lines = scan.piece.codes, scan.lines
    end = lines.end.copy()
    for line in np.flatnonzero(codes[end - 1] == ord("]")).tolist():
        tail_start = max(int(lines.start[line]), int(end[line]) - 200)
        cited = _CITATIONS_AT_END.search(_string(codes[tail_start : end[line]]))
        if cited:
            end[line] -= cited.end() - cited.start()
    # Before a line's first sign stands a line feed (before the piece's, its last, by index -1), so nothing is misread.
    dots = (codes[end - 1] == ord(".")) & (codes[end - 2] == ord(".")) & (codes[end - 3] == ord("."))
    ended: Bools = member(codes[end - 1], terminals) & (end > lines.start) & ~dots
    return ended


def _num_words(scan: Scan) -> Ints:
    """(L,) as :func:`hone.data.kernels.unspaced.num_words`."""
    lines, at = scan.lines, np.flatnonzero(signs(scan.piece))
    counts = np.diff(lines.run)
    if not len(at):
        return counts
    holding = np.unique(np.searchsorted(lines.run_start, at, side="right") - 1)
    num_lines = len(lines.start)
    held = np.bincount(lines.line_of(lines.run_start[holding]), minlength=num_lines)
    return counts - held + np.bincount(lines.line_of(at), minlength=num_lines)


def _long(scan: Scan, limit: int) -> Bools:
    """(L,) as :func:`hone.data.kernels.unspaced.longest_word`; long runs are few and looked at one by one."""
    lines, codes = scan.lines, scan.piece.codes
    found = np.zeros(len(lines.start), np.bool_)
    for run in np.flatnonzero(lines.run_end - lines.run_start > limit).tolist():
        start, end = int(lines.run_start[run]), int(lines.run_end[run])
        if longest_word(_string(codes[start:end])) > limit:
            found[lines.line_of(np.array([start]))] = True
    return found


def _citations(scan: Scan) -> Any:
    if not len(scan.at(ord("["))):
        return np.zeros(scan.num_texts, np.int64)
    text = _string(scan.piece.codes)
    return scan.per_text(np.array([found.start() for found in CITATION.finditer(text)], np.int64))


def _string(codes: Any) -> str:
    text: str = codes.tobytes().decode("utf-32-le", "surrogatepass")
    return text
