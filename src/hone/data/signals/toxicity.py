"""Toxicity: words and phrases of lists with their places, and the score of a model that hone fitted on labelled rows.

Word lists strike harmless text: half of the shipped list also has an everyday or medical sense. Those entries are
counted apart (``toxicity.ambiguous``), so that a rule over ``toxicity.words`` sees the strong ones alone.
``benchmarks/data/toxicity.py`` measures what is left, per identity term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.phrases import SPLITTER, PhraseTable, phrase_table
from hone.data.kernels.words import split_words
from hone.data.signals.base import SPAN
from hone.data.table import texts
from hone.data.wordlists import read_list, shipped
from hone.files import content_hash

STRONG, AMBIGUOUS = "strong", "ambiguous"


@dataclass(frozen=True, kw_only=True, slots=True)
class Toxicity:
    """Columns ``toxicity.words`` and ``toxicity.ambiguous`` (int32 counts), ``toxicity.spans``, and with a model
    ``toxicity.score`` (float32, the probability of a toxic row; null for an empty text).

    ``strong`` and ``ambiguous`` are phrases: :func:`toxicity` reads them from files. ``model`` is a folder that
    :func:`hone.data.toxic_model.fit_toxic` wrote, ``model_hash`` the content of that model.
    """  # noqa: D205

    strong: tuple[str, ...]
    ambiguous: tuple[str, ...] = ()
    model: Path | None = None
    model_hash: str = ""

    name = "toxicity"
    version = "1"

    @property
    def params(self) -> Mapping[str, Any]:
        """Hashes of the lists and of the model, and the word splitter."""
        return {
            "strong": content_hash(self.strong),
            "ambiguous": content_hash(self.ambiguous),
            "splitter": SPLITTER,
            "model": self.model_hash,
        }

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """One row each: counts, places, and the score where there is a model."""
        content = texts(rows)
        table, is_strong = _ready(self.strong, self.ambiguous)
        found: dict[str, Any] = _found(content, table, is_strong)
        if self.model is not None:
            from hone.data.toxic_model import open_toxic

            scores = open_toxic(self.model).scores(content)
            empty = np.array([not text.strip() for text in content], bool)
            found["toxicity.score"] = pa.array(scores.astype(np.float32), mask=empty)
        return pa.RecordBatch.from_pydict(found)


def toxicity(words: Path | str | None = None, model: Path | str | None = None) -> Toxicity:
    """The signal with the shipped lists, or with a list of one's own (one phrase a line, all of them strong).

    Raises:
        InputError: a list or model that cannot be read.
    """
    model = None if model is None else Path(model)
    if model is None:
        digest = ""
    else:
        from hone.data.toxic_model import open_toxic

        digest = open_toxic(model).digest
    if words is not None:
        return Toxicity(strong=read_list(Path(words)), model=model, model_hash=digest)
    ambiguous = shipped("ambiguous_en")
    listed = (*shipped("naughty_en"), *shipped("inflected_en"))
    strong = tuple(phrase for phrase in listed if phrase not in set(ambiguous))
    return Toxicity(strong=strong, ambiguous=ambiguous, model=model, model_hash=digest)


@cache
def _ready(strong: tuple[str, ...], ambiguous: tuple[str, ...]) -> tuple[PhraseTable, Any]:
    return phrase_table((*strong, *ambiguous)), np.arange(len(strong) + len(ambiguous)) < len(strong)


def _found(content: list[str], table: PhraseTable, is_strong: Any) -> dict[str, Any]:
    rows, starts, ends, strongs = [], [], [], []
    for piece in pieces(content):
        hits = table.find(split_words(piece, SPLITTER))
        rows.append(hits.text + piece.first)
        starts.append(hits.start - piece.start[hits.text])
        ends.append(hits.end - piece.start[hits.text])
        strongs.append(is_strong[hits.phrase])
    row = np.concatenate([*rows, np.zeros(0, np.int64)])
    strong = np.concatenate([*strongs, np.zeros(0, bool)])
    kinds = pa.array(np.where(strong, STRONG, AMBIGUOUS), pa.string())
    return {
        "toxicity.words": pa.array(np.bincount(row[strong], minlength=len(content)).astype(np.int32)),
        "toxicity.ambiguous": pa.array(np.bincount(row[~strong], minlength=len(content)).astype(np.int32)),
        "toxicity.spans": span_lists(row, kinds, starts, ends, len(content)),
    }


def span_lists(row: Any, kinds: pa.Array, starts: list[Any], ends: list[Any], size: int) -> pa.ListArray:
    """Spans (H,) in the order of their rows as one list per row; ``starts`` and ``ends`` come piece by piece."""
    offsets = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(row, minlength=size), out=offsets[1:])
    flat = [pa.array(np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.int32)) for parts in (starts, ends)]
    spans = pa.StructArray.from_arrays([kinds, *flat], fields=list(SPAN))
    return pa.ListArray.from_arrays(pa.array(offsets), spans)
