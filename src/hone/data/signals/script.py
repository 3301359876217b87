"""The writing system of each text, and words that mix two of them.

A word of Latin letters with a Cyrillic one among them looks like another word and is none: a trick of spammers, or the
mark of a broken scan. Script is the Unicode property of that name (Unicode Standard Annex 24), of letters alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import LETTER
from hone.data.kernels.distinct import distinct
from hone.data.kernels.scan import Scan, before, group_sums, member, share
from hone.data.kernels.scripts import NAMES, RANGES
from hone.data.signals.scanned import Figures, ScannedSignal

_LATIN, _CYRILLIC = NAMES.index("Latin"), NAMES.index("Cyrillic")
_NONE = 255
_BMP = 0x10000
# Greek letters that look like Latin ones. The others stand in units and formulas (kOhm, mu m), where mixing is right.
_GREEK_ALIKE = "".join(map(chr, (
    0x391, 0x392, 0x395, 0x396, 0x397, 0x399, 0x39A, 0x39C, 0x39D, 0x39F, 0x3A1, 0x3A4, 0x3A5, 0x3A7, 0x3BD, 0x3BF,
)))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Script(ScannedSignal):
    """``script.main``: the script of most letters; ``script.share``: the share of letters in it; null without letters.

    ``script.mixed`` (int32): words (splitter ``unicode-words``) with Latin letters beside Cyrillic ones, or beside
    Greek ones that look Latin. Of two scripts with equally many letters the first of ``kernels.scripts.NAMES`` counts.
    Letters that belong to no single script are no letters here.
    """

    name: ClassVar[str] = "script"
    version: ClassVar[str] = "1"

    def figures(self, scan: Scan) -> Figures:
        """Columns ``script.*``."""
        counts = _letters_by_script(scan)
        main, letters = counts.argmax(axis=1), counts.sum(axis=1)
        return {
            "script.main": pa.array(np.array(NAMES, object)[main], pa.string(), mask=letters == 0),
            "script.share": share(counts.max(axis=1), letters),
            "script.mixed": _mixed(scan),
        }


def scripts_of(codes: Any) -> Any:
    """(C,) uint8 index into ``NAMES`` of each letter's script, 255 where it has none. Only letters are meant."""
    found = _table().take(codes, mode="clip")
    high = np.flatnonzero(codes >= _BMP)
    if len(high):
        ranges = np.array(RANGES)
        at = np.searchsorted(ranges[:, 0], codes[high], side="right") - 1
        found[high] = np.where(codes[high] <= ranges[at, 1], ranges[at, 2], _NONE)
    return found


def _letters_by_script(scan: Scan) -> Any:
    """(N, scripts) letters. ASCII letters are Latin: only the others are looked up."""
    codes = scan.piece.codes
    letter = (scan.piece.classes() & LETTER) != 0
    plain = codes < 0x80
    counts = np.zeros((scan.num_texts, len(NAMES)), np.int64)
    counts[:, _LATIN] = scan.count_per_text(letter & plain)
    at = np.flatnonzero(letter & ~plain)
    if len(at):
        script = scripts_of(codes[at])
        text = np.searchsorted(scan.piece.start, at, side="right") - 1
        known = script != _NONE
        cells = text[known] * len(NAMES) + script[known]
        counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    return counts


def _mixed(scan: Scan) -> Any:
    codes = scan.piece.codes
    strange = codes >= 0x370
    if not strange.any():
        return np.zeros(scan.num_texts, np.int64)
    words = scan.words("unicode-words")
    at = np.flatnonzero(strange)
    of = scripts_of(codes[at])
    at = at[(of == _CYRILLIC) | member(codes[at], _GREEK_ALIKE)]
    word = distinct(np.searchsorted(words.start, at, side="right") - 1)
    latin = (scan.piece.classes() & LETTER) != 0
    latin &= ~strange  # the letters below Greek are Latin, and the few Latin ones above are of no alphabet in use
    letters_before = before(latin)
    mixing = np.zeros(len(words.start), np.bool_)
    mixing[word] = letters_before[words.end[word]] > letters_before[words.start[word]]
    return group_sums(mixing, words.first)


@cache
def _table() -> Any:
    table = np.full(_BMP, _NONE, np.uint8)
    for first, last, script in RANGES:
        if first < _BMP:
            table[first : last + 1] = script
    return table
