"""How long each text is: characters, bytes, words, lines and, where a tokenizer is given, tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hone.data.kernels.scan import Scan
from hone.data.signals.scanned import Figures, ScannedSignal
from hone.data.table import texts

if TYPE_CHECKING:
    from hone.data.tokenizer import TextTokenizer


@dataclass(frozen=True, kw_only=True)
class Length(ScannedSignal):
    """``length.chars`` code points, ``.bytes`` of UTF-8, ``.words``, ``.lines`` that hold something, ``.tokens``.

    Args:
        splitter: name of the word splitter.
        tokenizer: folder of a ``tokenizer.json``; without it there is no column ``length.tokens``.
        tokenizer_hash: its hash, so that another tokenizer in the same folder is measured anew.
    """

    name: ClassVar[str] = "length"
    version: ClassVar[str] = "1"
    splitter: str = "unicode-words"
    tokenizer: str | None = None
    tokenizer_hash: str | None = None

    def figures(self, scan: Scan) -> Figures:
        """Counts as int32."""
        found: dict[str, Any] = {
            "length.chars": scan.chars,
            "length.bytes": _utf8_bytes(scan),
            "length.words": np.diff(scan.words(self.splitter).first),
            "length.lines": np.diff(scan.lines.first),
        }
        if self.tokenizer is not None:
            encode = _tokenizer(self.tokenizer, self.tokenizer_hash).encode
            found["length.tokens"] = np.array([len(encode(text)) for text in texts(scan.rows)], np.int64)
        return found


def _utf8_bytes(scan: Scan) -> Any:
    codes = scan.piece.codes
    extra = np.zeros(scan.num_texts, np.int64)
    for limit in (0x80, 0x800, 0x10000):
        beyond = codes >= limit
        if not beyond.any():
            break
        extra += scan.count_per_text(beyond)
    return scan.chars + extra


@lru_cache(maxsize=4)
def _tokenizer(folder: str, expected: str | None) -> TextTokenizer:
    from hone.data.tokenizer import TextTokenizer

    del expected  # another hash is another entry of the cache
    return TextTokenizer.open(folder)
