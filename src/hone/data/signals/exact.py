r"""Exact duplicates: rows that are the same text after folding, ``re.sub(r"\W+", " ", text.lower()).strip()``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.clusters import Survivor, row_names
from hone.data.kernels.folding import folded
from hone.data.kernels.words import Ints
from hone.data.table import texts

_WORD = re.compile(r"\w")
_NOTHING = hashlib.sha256(b"").digest()
_KEY_BYTES = 16
_TEXT_BYTES = 8
_SKETCH = ("key_0", "key_1", "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """Columns over all rows; each is null for an empty text, which repeats nothing.

    ``exact.survivor`` id of the row that says the same and is kept (null for rows that are kept); ``exact.cluster``
    position of the survivor, also for itself (null for rows alone); ``exact.size`` rows of the cluster;
    ``exact.repeats`` whether an earlier row has the same input, with whatever answer; there, as in figures that others
    publish, texts without letter or digit are all the same.

    What is compared is ``input``. A text without letter or digit folds to nothing and is compared as it stands. Where
    rows have an answer, it is compared as it stands, and so is what the text holds beside both (the worse answer of a
    pair; of a table, where -1 is not 1, all values): the same input with another answer is no duplicate, but a
    contradiction, which the signal ``labels`` tells. ``with_answer=False`` compares inputs alone.
    """

    name: ClassVar[str] = "exact"
    version: ClassVar[str] = "3"

    with_answer: bool = True
    survivor: str = "first"
    """One of :data:`hone.data.clusters.SURVIVORS`; ``sources`` and ``column`` belong to two of them."""
    sources: Sequence[str] = ()
    column: str = ""

    def __post_init__(self) -> None:
        self._policy()

    def _policy(self) -> Survivor:
        return Survivor(kind=self.survivor, sources=tuple(self.sources), column=self.column)

    @property
    def params(self) -> Mapping[str, Any]:
        """What changes the columns."""
        return {
            "with_answer": self.with_answer,
            "survivor": self.survivor,
            "sources": list(self.sources),
            "column": self.column,
        }

    def sketch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """``key_0`` and ``key_1``: 128 bits of the folded text and answer, null for an empty text; ``chars``.

        ``text``: 64 bits of the folded text alone, of which nothing but a count is made.
        """
        given = texts(rows, "input")
        answers = _answers(rows, given) if self.with_answer else [None] * len(given)
        keys = b"".join(_keys(given, answers))
        halves = np.frombuffer(keys, np.uint64).reshape(-1, len(_SKETCH)).T.copy()
        empty = np.asarray([not text or text.isspace() for text in given], bool)
        columns = {
            **{name: pa.array(half, mask=empty) for name, half in zip(_SKETCH, halves, strict=True)},
            "chars": pa.array([len(text) for text in given], pa.int64()),
        }
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def columns(self, sketches: pa.Table) -> pa.Table:
        """The columns named above, over all rows."""
        shown = np.asarray(sketches.column("key_0").is_valid().to_numpy(), bool)
        order = self._policy().order(sketches)
        order = order[shown[order]]
        keys = [_halves(sketches, name)[order] for name in ("key_0", "key_1")]
        survivor = np.arange(sketches.num_rows)
        survivor[order] = order[_first_equal(*keys)]
        size = np.bincount(survivor[order], minlength=len(survivor))[survivor]
        removed = survivor != np.arange(len(survivor))
        repeats = shown.copy()
        places = np.flatnonzero(shown)
        repeats[places[np.unique(_halves(sketches, "text")[places], return_index=True)[1]]] = False
        return pa.table(
            {
                "exact.cluster": pa.array(survivor, pa.int64(), mask=~shown | (size < 2)),
                "exact.survivor": row_names(sketches.column("row"), survivor, removed),
                "exact.size": pa.array(size, pa.int64(), mask=~shown),
                "exact.repeats": pa.array(repeats, mask=~shown),
            }
        )


def _answers(rows: pa.RecordBatch, given: Sequence[str]) -> Sequence[str | None]:
    """What is compared as it stands: a row's label, else its answer and all that its text holds beside the input."""
    labels: list[str | None] = rows.column("label").to_pylist()
    answers: list[str | None] = rows.column("answer").to_pylist()
    if rows.column("answer").null_count == rows.num_rows and rows.column("text").equals(rows.column("input")):
        return labels
    learned: list[str | None] = []
    for label, answer, text, prompt in zip(labels, answers, texts(rows), given, strict=True):
        beside = text.removeprefix(prompt)
        if label is not None or (answer is None and not beside):
            learned.append(label)
        else:
            learned.append(f"{answer or ''}\0{beside}")
    return learned


def _keys(given: Sequence[str], answers: Sequence[str | None]) -> Iterator[bytes]:
    """24 bytes for each row: 16 of text and answer, 8 of the text alone.

    Without an answer the first 8 are those of :func:`hone.data.rows.fingerprint`.
    """
    for raw, text, answer in zip(given, folded(given), answers, strict=True):
        whole = key = hashlib.sha256(text).digest()
        if answer is not None:
            whole = hashlib.sha256(key + answer.encode("utf-8", "surrogatepass")).digest()
        yield whole[:_KEY_BYTES] + (key if _WORD.search(raw) else _NOTHING)[:_TEXT_BYTES]


def _halves(sketches: pa.Table, name: str) -> Any:
    return sketches.column(name).fill_null(0).to_numpy()


def _first_equal(high: Any, low: Any) -> Ints:
    """(M,) index of the first entry with the same key."""
    order = np.lexsort((np.arange(len(high)), low, high))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])
    first = np.empty(len(order), np.int64)
    first[order] = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
    return first
