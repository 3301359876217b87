"""Texts as arrays of code points, with the Unicode class and the lower case of each."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

LETTER, MARK, DIGIT, CONNECTOR, SPACE, PUNCTUATION, SYMBOL, ALONE = 1, 2, 4, 8, 16, 32, 64, 128
"""Bits of a class. ``ALONE``: Han, Hiragana and Katakana, written without spaces: each is a word of its own."""

PIECE_CHARS = 200_000
"""Code points handled at once: with their hashes about 5 MB, the size of a second-level cache."""

_BITS = {"L": LETTER, "M": MARK, "N": DIGIT, "P": PUNCTUATION, "S": SYMBOL}
_ALONE = (
    (0x2E80, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3041, 0x3096),
    (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FD, 0x30FF), (0x31F0, 0x31FF), (0x32D0, 0x32FE), (0x3300, 0x3357),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAD9), (0xFF66, 0xFF6F), (0xFF71, 0xFF9D), (0x16FE2, 0x16FF1),
    (0x1AFF0, 0x1B167), (0x1F200, 0x1F200), (0x20000, 0x323AF),
)  # fmt: skip
_BMP = 0x10000


@dataclass(frozen=True, eq=False)
class Piece:
    """Some texts of a batch, joined. What is looked up for it is looked up once.

    ``codes`` (C,) uint32 code points, a line feed after each text; ``start`` (N + 1,) where each text begins;
    ``first`` index of the first text in the batch.
    """

    codes: np.ndarray[Any, np.dtype[np.uint32]]
    start: np.ndarray[Any, np.dtype[np.int64]]
    first: int

    def classes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(C,) the class bits of each code point. Not to be written into: everybody gets the same array."""
        classes: np.ndarray[Any, np.dtype[np.uint8]] = self._classes
        return classes

    def lower(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """(C,) lower case, one code point for one; those whose lower case is longer stay as they are."""
        lower: np.ndarray[Any, np.dtype[np.uint32]] = self._lower
        return lower

    @cached_property
    def _classes(self) -> Any:
        return _frozen(_looked_up(self.codes, _class_table(), _class_of))

    @cached_property
    def _lower(self) -> Any:
        return _frozen(_looked_up(self.codes, _lower_table(), _lower_of))


def pieces(texts: Sequence[str], chars: int = PIECE_CHARS) -> Iterator[Piece]:
    """Cut a batch into pieces of about ``chars`` code points; a text is never cut, so a long one is a piece alone."""
    first, size = 0, 0
    for index, text in enumerate(texts):
        if size and size + len(text) >= chars:
            yield _piece(texts[first:index], first)
            first, size = index, 0
        size += len(text) + 1
    if first < len(texts):
        yield _piece(texts[first:], first)


def _piece(texts: Sequence[str], first: int) -> Piece:
    start = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) + 1 for text in texts], out=start[1:])
    joined = ("\n".join(texts) + "\n").encode("utf-32-le", "surrogatepass")
    return Piece(np.frombuffer(joined, dtype=np.uint32), start, first)


def _frozen(found: Any) -> Any:
    found.flags.writeable = False
    return found


def _looked_up(codes: Any, table: Any, rare: Callable[[int], int]) -> Any:
    """A table look-up for the first 65,536 code points; the others are rare and go through Python once each."""
    found = table.take(codes, mode="clip")  # twice as fast as an index
    if len(codes) and codes.max() >= _BMP:
        high = np.flatnonzero(codes >= _BMP)
        kinds, inverse = np.unique(codes[high], return_inverse=True)
        found[high] = np.array([rare(int(code)) for code in kinds], dtype=table.dtype)[inverse]
    return found


def _class_of(code: int) -> int:
    char = chr(code)
    category = unicodedata.category(char)
    bits = CONNECTOR if category == "Pc" else _BITS.get(category[0], 0)
    if char.isspace():
        bits |= SPACE
    if any(low <= code <= high for low, high in _ALONE) and bits & (LETTER | DIGIT | SYMBOL):
        bits |= ALONE
    return bits


def _lower_of(code: int) -> int:
    lower = chr(code).lower()
    return ord(lower) if len(lower) == 1 else code


@cache
def _class_table() -> np.ndarray[Any, np.dtype[np.uint8]]:
    table = np.array([_BITS.get(unicodedata.category(chr(code))[0], 0) for code in range(_BMP)], np.uint8)
    for code in range(_BMP):
        if chr(code).isspace():
            table[code] |= SPACE
    for code in (0x5F, 0x203F, 0x2040, 0x2054, 0xFE33, 0xFE34, 0xFE4D, 0xFE4E, 0xFE4F, 0xFF3F):
        table[code] = CONNECTOR
    for low, high in _ALONE:
        part = table[low : high + 1]
        part[(part & (LETTER | DIGIT | SYMBOL)) != 0] |= ALONE
    return table


@cache
def _lower_table() -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.array([_lower_of(code) for code in range(_BMP)], np.uint32)
