"""The language of each text, by the model inside the package ``py3langid`` (0.4; Lui and Baldwin 2012, naive Bayes).

The model walks a text's bytes through an automaton, counts features, and adds up their weights per language. The
package does this in Python, one byte at a time. Here all texts of a batch walk together, one byte of each at a time,
with the package's own tables: the same languages, and probabilities equal to rounding.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import LETTER, pieces
from hone.data.table import texts
from hone.errors import InputError

_LOADING = Lock()
_TOGETHER = 512
"""Texts that walk together: their features stay in the cache."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """``language.code`` (ISO 639) and ``language.probability`` (float32), the model's for that language.

    Null for a text with fewer than ``min_letters`` letters, where the guess is too often wrong: of cuts of English
    documentation with 20 to 40 letters, a quarter are taken for another language (of English requests that long, one
    in a thousand). A letter counts by its bytes in UTF-8, because a Han sign says more than a Latin letter. The first
    ``max_bytes`` bytes of a text are read. The probability is this model's: thresholds made for another one, such as
    FineWeb's 0.65 for fastText, do not carry over.

    Args:
        max_bytes: bytes of UTF-8 looked at, from the beginning.
        min_letters: bytes of letters needed among them.
    """

    name: ClassVar[str] = "language"
    version: ClassVar[str] = "1"
    max_bytes: int = 512
    min_letters: int = 40

    def __post_init__(self) -> None:
        if self.max_bytes < 16 or self.min_letters < 1:
            raise InputError(
                f"language: max_bytes must be 16 or more and min_letters 1 or more, "
                f"given {self.max_bytes} and {self.min_letters}"
            )

    @property
    def params(self) -> Mapping[str, Any]:
        """The limits, and the version of the model's package."""
        from importlib.metadata import version

        return {**asdict(self), "model": f"py3langid {version('py3langid')}"}

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Columns ``language.code`` and ``language.probability``."""
        begun = [_begin(text, self.max_bytes) for text in texts(rows)]
        enough = _letter_bytes(begun) >= self.min_letters
        chosen = np.flatnonzero(enough)
        codes, probabilities = np.full(len(begun), None, object), np.zeros(len(begun), np.float32)
        if len(chosen):
            codes[chosen], probabilities[chosen] = identify([begun[index] for index in chosen.tolist()])
        return pa.RecordBatch.from_arrays(
            [pa.array(codes, pa.string()), pa.array(probabilities, pa.float32(), mask=~enough)],
            names=["language.code", "language.probability"],
        )


def identify(content: Sequence[str]) -> tuple[Any, Any]:
    """(N,) language codes as objects and their probabilities, of whole texts."""
    model = _model()
    codes, probabilities = np.empty(len(content), object), np.zeros(len(content), np.float32)
    encoded = [_encoded(text) for text in content]
    order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
    for begin in range(0, len(order), _TOGETHER):
        some = order[begin : begin + _TOGETHER]
        shares = model.probabilities([encoded[index] for index in some])
        best = shares.argmax(axis=1)
        codes[some] = model.codes[best]
        probabilities[some] = shares[np.arange(len(some)), best]
    return codes, probabilities


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """The tables of the package: ``codes`` (K,) languages; ``prior`` (K,) and ``weight`` (F, K) log-probabilities;
    ``after`` (distinct rows * 256,) state after a byte, ``row`` (states,) which row a state has, ``feature`` (states,)
    what a visit counts, -1 for nothing; ``alias`` pairs of columns that are one language.
    """  # noqa: D205

    codes: Any
    prior: Any
    weight: Any
    after: Any
    row: Any
    feature: Any
    alias: tuple[tuple[int, int], ...]

    def probabilities(self, encoded: Sequence[bytes]) -> Any:
        """(n, K) probabilities of each language, for texts in order of falling length."""
        text, feature = self._visits(encoded)
        keys, visits = np.unique(text * len(self.weight) + feature, return_counts=True)
        text, feature = np.divmod(keys, len(self.weight))
        scores = np.tile(self.prior, (len(encoded), 1))
        kinds, place = np.unique(feature, return_inverse=True)
        weight, times = self.weight[kinds].astype(np.float32), np.log1p(visits.astype(np.float32))
        bounds = np.searchsorted(text, np.arange(len(encoded) + 1)).tolist()
        for index, (begin, end) in enumerate(pairwise(bounds)):  # one product a text: its rows fit the cache
            scores[index] += times[begin:end] @ weight[place[begin:end]]
        seen = np.zeros(len(encoded), np.bool_)
        seen[text] = True
        scores[~seen] = 0.0  # nothing known was seen: all languages alike, as the package has it
        # The package divides by the root of the length, which keeps probabilities honest for long texts.
        scores /= np.sqrt([max(len(text), 1) for text in encoded])[:, None]
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        for first_name, second_name in self.alias:
            shares[:, first_name] += shares[:, second_name]
            shares[:, second_name] = 0.0
        return shares

    def _visits(self, encoded: Sequence[bytes]) -> tuple[Any, Any]:
        """Text and feature of every visit that counts."""
        longest = max(map(len, encoded), default=0)
        padded = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in encoded), np.uint8)
        by_place = np.ascontiguousarray(padded.reshape(len(encoded), longest).T)
        sizes = np.array([len(text) for text in encoded])
        walking = np.searchsorted(-sizes, -np.arange(longest), side="left")  # texts longer than each place
        state = np.zeros(len(encoded), np.int32)
        visited = np.full((longest, len(encoded)), -1, np.int32)
        for place, count in enumerate(walking.tolist()):
            state = self.after[(self.row[state[:count]] << 8) + by_place[place, :count]]
            visited[place, :count] = self.feature[state]
        at, text = np.nonzero(visited >= 0)
        return text, visited[at, text].astype(np.int64)


def load() -> None:
    """Unpack the model if nobody has; a thread that does so leaves the others their time."""
    with suppress(ImportError):  # measuring says it
        _model()


def _model() -> _Model:
    with _LOADING:
        return _loaded()


@cache
def _loaded() -> _Model:
    from py3langid.langid import MODEL_DIR, MODEL_FILE
    from py3langid.modelio import load_model

    weight, prior, codes, after, row, feature = load_model(MODEL_DIR / MODEL_FILE)
    first: dict[str, int] = {}
    alias = [(first[code], index) for index, code in enumerate(codes) if first.setdefault(code, index) != index]
    return _Model(
        codes=np.array(codes, object),
        prior=np.asarray(prior, np.float32),
        weight=np.asarray(weight),
        after=np.frombuffer(after, after.typecode).astype(np.int32),
        row=np.frombuffer(row, row.typecode).astype(np.int32),
        feature=np.asarray(feature, np.int32),
        alias=tuple(alias),
    )


def _begin(text: str, max_bytes: int) -> str:
    """The longest beginning of at most so many bytes."""
    if len(text) * 4 <= max_bytes:
        return text
    return text[:max_bytes].encode("utf-8", "surrogatepass")[:max_bytes].decode("utf-8", "ignore")


def _letter_bytes(content: Sequence[str]) -> Any:
    """(N,) bytes of UTF-8 that are letters, in each text."""
    found = [np.zeros(0, np.int64)]
    for piece in pieces(content):
        size = 1 + sum((piece.codes >= limit).astype(np.int8) for limit in (0x80, 0x800, 0x10000))
        of_letters = np.where((piece.classes() & LETTER) != 0, size, 0)
        found.append(np.add.reduceat(of_letters, piece.start[:-1], dtype=np.int64))
    return np.concatenate(found)


def _encoded(text: str) -> bytes:
    """As the package does before it looks: text in capitals becomes lower case, composed characters."""
    text = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
