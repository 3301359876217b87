"""Toxicity: words and phrases of lists with their places, and the score of a model that hone fitted on labelled rows.

Word lists strike harmless text: half of the shipped list also has an everyday or medical sense. Those entries are
counted apart (``toxicity.ambiguous``), so that a rule over ``toxicity.words`` sees the strong ones alone.
``benchmarks/data/toxicity.py`` measures what is left, per identity term.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.phrases import SPLITTER, PhraseTable, phrase_table
from hone.data.kernels.words import split_words
from hone.data.signals.spans import span_lists
from hone.data.table import texts
from hone.data.toxic_model import open_toxic
from hone.data.wordlists import read_list, shipped
from hone.files import content_hash

_KINDS = ("strong", "ambiguous")


@dataclass(frozen=True, kw_only=True)
class Toxicity:
    """Counts of toxic words, their places, and a model's score.

    Columns ``toxicity.words`` and ``toxicity.ambiguous`` (int32 counts), ``toxicity.spans``, and with a model
    ``toxicity.score`` (float32, the probability of a toxic row; null for a text of white space).

    ``words`` is a list of one's own (a path, one phrase a line, all of them strong) in place of the shipped ones.
    ``model`` is a folder that :func:`hone.data.toxic_model.fit_toxic` wrote. Relative paths begin at ``folder``.

    Raises:
        InputError: a list or model that cannot be read.
    """

    words: str | Path | None = None
    model: str | Path | None = None
    folder: Path | None = None
    strong: tuple[str, ...] = field(init=False, repr=False)
    ambiguous: tuple[str, ...] = field(init=False, repr=False)
    harmless: tuple[str, ...] = field(init=False, repr=False)
    model_digest: str = field(init=False)

    name: ClassVar[str] = "toxicity"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        folder = self.folder or Path()
        listed = (read_list(folder / self.words), (), ()) if self.words else shipped_words()
        for kind, phrases in zip(("strong", "ambiguous", "harmless"), listed, strict=True):
            object.__setattr__(self, kind, phrases)
        object.__setattr__(self, "model_digest", open_toxic(folder / self.model).digest if self.model else "")

    @property
    def params(self) -> Mapping[str, Any]:
        """Hashes of the lists and of the model, and the word splitter."""
        return {
            "strong": content_hash(self.strong),
            "ambiguous": content_hash(self.ambiguous),
            "harmless": content_hash(self.harmless),
            "splitter": SPLITTER,
            "model": self.model_digest,
        }

    def columns(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """One row each: counts, places, and the score where there is a model."""
        content = texts(rows)
        found = _found(content, *_ready(self.strong, self.ambiguous, self.harmless))
        if self.model:
            scores = open_toxic((self.folder or Path()) / self.model).scores(content)
            empty = np.array([not text.strip() for text in content], bool)
            found["toxicity.score"] = pa.array(scores.astype(np.float32), mask=empty)
        return pa.RecordBatch.from_pydict(found)


@cache
def shipped_words() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The strong and the ambiguous phrases that come with hone, and phrases in which these mean no harm."""
    ambiguous = shipped("ambiguous_en")
    listed = (*shipped("naughty_en"), *shipped("inflected_en"))
    return tuple(phrase for phrase in listed if phrase not in set(ambiguous)), ambiguous, shipped("harmless_en")


@cache
def _ready(*lists: tuple[str, ...]) -> tuple[PhraseTable, Any]:
    """Phrases ready to be found, and for each the index of its list."""
    phrases = tuple(phrase for listed in lists for phrase in listed)
    return phrase_table(phrases), np.repeat(np.arange(len(lists)), [len(listed) for listed in lists])


def _found(content: list[str], table: PhraseTable, list_of: Any) -> dict[str, Any]:
    found = [np.zeros((4, 0), np.int64)]
    for piece in pieces(content):
        hits = table.find(split_words(piece, SPLITTER))
        begin = piece.start[hits.text]
        found.append(np.stack([hits.text + piece.first, hits.start - begin, hits.end - begin, list_of[hits.phrase]]))
    rows = np.concatenate(found, axis=1)
    row, start, end, kind = rows[:, rows[3] < len(_KINDS)]
    counts = (np.bincount(row[kind == index], minlength=len(content)).astype(np.int32) for index in range(len(_KINDS)))
    return {
        **dict(zip(("toxicity.words", "toxicity.ambiguous"), map(pa.array, counts), strict=True)),
        "toxicity.spans": span_lists(row, start, end, np.array(_KINDS)[kind], len(content)),
    }
