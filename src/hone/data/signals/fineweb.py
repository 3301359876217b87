"""The FineWeb quality figures (Penedo et al. 2024; the rules as in datatrove's ``FineWebQualityFilter``).

Lines are those that hold something, without the white space at their ends (datatrove compares them with their
indentation, and its older versions count empty lines as short ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hone.data.kernels.repetition import seen_before
from hone.data.kernels.scan import Scan, group_sums, member, share
from hone.data.signals.scanned import Figures, ScannedSignal

TERMINALS = ".!?\"'\u201d\u2019\u00bb\u3002\uff01\uff1f\u061f\u06d4\u0964\u0965\u0589\u1362"
"""Characters that end a line properly: those of C4, which FineWeb's first code took, closing quotes, and the ends of
sentences in Chinese, Arabic, Urdu, Devanagari, Armenian and Ethiopic. datatrove 0.10 takes Unicode's sentence ends and
no quotes, so that a line of speech ends badly there."""


@dataclass(frozen=True, kw_only=True)
class FineWeb(ScannedSignal):
    """Shares that the FineWeb rules judge; null where there is nothing to divide by.

    ``fineweb.terminal_lines``: lines that end in one of ``terminals``; ``.short_lines``: lines of at most
    ``short_line`` characters; ``.dup_line_chars``: characters in lines that occurred earlier in the text, over all
    characters but line feeds; ``.newline_ratio``: line feeds per word.
    """

    name: ClassVar[str] = "fineweb"
    version: ClassVar[str] = "1"
    splitter: str = "unicode-words"
    short_line: int = 30
    terminals: str = TERMINALS

    def figures(self, scan: Scan) -> Figures:
        """Columns ``fineweb.*``."""
        lines = scan.lines
        num_lines, size = np.diff(lines.first), lines.end - lines.start
        ending = member(scan.piece.codes[lines.end - 1], self.terminals)
        again = seen_before(lines.hashes[0], lines.text)
        return {
            "fineweb.terminal_lines": share(group_sums(ending, lines.first), num_lines),
            "fineweb.short_lines": share(group_sums(size <= self.short_line, lines.first), num_lines),
            "fineweb.dup_line_chars": share(
                group_sums(np.where(again, size, 0), lines.first), scan.chars - lines.feeds
            ),
            "fineweb.newline_ratio": share(lines.feeds, np.diff(scan.words(self.splitter).first)),
        }
