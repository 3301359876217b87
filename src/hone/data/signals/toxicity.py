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

from hone.data.kernels.phrases import SPLITTER, PhraseTable, phrase_table
from hone.data.kernels.scan import Scan
from hone.data.signals.scanned import Figures, ScannedSignal
from hone.data.signals.spans import span_lists
from hone.data.table import texts
from hone.data.toxic_model import open_toxic
from hone.data.wordlists import read_list, shipped
from hone.files import content_hash

_KINDS = ("strong", "ambiguous")


@dataclass(frozen=True, kw_only=True)
class Toxicity(ScannedSignal):
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

    def figures(self, scan: Scan) -> Figures:
        """Counts, places, and the score where there is a model."""
        table, list_of = _ready(self.strong, self.ambiguous, self.harmless)
        hits = table.find(scan.words(SPLITTER))
        kind = list_of[hits.phrase]
        listed = kind < len(_KINDS)
        text, kind = hits.text[listed], kind[listed]
        begin = scan.piece.start[text]
        names = np.array(_KINDS)[kind]
        found: dict[str, Any] = {
            column: np.bincount(text[kind == index], minlength=scan.num_texts)
            for index, column in enumerate(("toxicity.words", "toxicity.ambiguous"))
        }
        spans = span_lists(text, hits.start[listed] - begin, hits.end[listed] - begin, names, scan.num_texts)
        found["toxicity.spans"] = spans
        if self.model:
            content = texts(scan.rows)
            scores = open_toxic((self.folder or Path()) / self.model).scores(content)
            found["toxicity.score"] = np.where([bool(text.strip()) for text in content], scores, np.nan)
        return found


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
