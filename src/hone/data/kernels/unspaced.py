"""Scripts that are written without blanks between words: there each sign counts as a word.

Counted by blanks alone, a Chinese sentence is one word and a Thai paragraph another, and rules on short lines and long
words would take them all.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

import numpy as np

from hone.data.kernels.codepoints import ALONE, Piece, pieces
from hone.data.kernels.words import Bools

# Thai and Lao, Myanmar, Khmer, Tai Le to New Tai Lue, Tai Tham, Balinese, Javanese to Myanmar's extensions, Tai Viet.
_SOUTH_EAST = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0x1B00, 0x1B7F),
    (0xA980, 0xA9FF), (0xAA60, 0xAADF),
)  # fmt: skip
_BMP = 0x10000
_HIGH = ((0x16FE2, 0x16FF1), (0x1AFF0, 0x1B167), (0x1F200, 0x1F200), (0x20000, 0x323AF))


def signs(piece: Piece) -> Bools:
    """(C,) which code points are such a sign: Han, Hiragana, Katakana, and letters of South East Asia."""
    found: Bools = _table().take(piece.codes, mode="clip") | ((piece.classes() & ALONE) != 0)
    return found


@cache
def sign() -> re.Pattern[str]:
    """One such sign in a string."""
    codes = [*range(_BMP), *(code for low, high in _HIGH for code in range(low, high + 1))]
    (piece,) = pieces(["".join(map(chr, codes))], chars=len(codes) + 2)
    among = np.asarray(codes)[signs(piece)[: len(codes)]]
    first = np.flatnonzero(np.diff(among, prepend=-2) > 1)
    last = np.append(first[1:], len(among)) - 1
    ranges = zip(among[first].tolist(), among[last].tolist(), strict=True)
    return re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges) + "]")


def num_words(line: str) -> int:
    """The words of ``str.split``; a word with signs counts once for each of them."""
    words = line.split()
    if line.isascii() or not (found := sign().findall(line)):
        return len(words)
    return len(found) + sum(sign().search(word) is None for word in words)


def longest_word(line: str) -> int:
    """Characters of the longest run without blanks and signs."""
    words = line.split() if line.isascii() else sign().sub(" ", line).split()
    return max(map(len, words), default=0)


@cache
def _table() -> Any:
    table = np.zeros(_BMP, np.bool_)
    for low, high in _SOUTH_EAST:
        table[low : high + 1] = [unicodedata.category(chr(code))[0] == "L" for code in range(low, high + 1)]
    table.flags.writeable = False
    return table
