"""Sentences in which an assistant speaks of being one, or refuses: what imitated answers are full of.

Phrases are found by their words, so case, line breaks, hyphens and the kind of apostrophe don't matter; other marks
between the words do. The list is English.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, ClassVar

import pyarrow as pa

from hone.data.kernels.phrases import SPLITTER, PhraseTable, phrase_table
from hone.data.kernels.scan import Scan
from hone.data.signals.base import SPAN
from hone.data.signals.scanned import Figures, ScannedSignal
from hone.data.table import texts

DISCLAIMER, REFUSAL = "disclaimer", "refusal"

DISCLAIMERS = (
    "as an ai language model", "as an ai model", "as an ai assistant", "as an ai chatbot", "as an ai, i",
    "as a language model", "as a large language model", "as an artificial intelligence", "as a virtual assistant",
    "i am an ai language model", "i am an ai model", "i am an ai assistant", "i am just an ai", "i am only an ai",
    "i'm an ai language model", "i'm an ai model", "i'm an ai assistant", "i'm just an ai", "i'm only an ai",
    "i am a language model", "i am a large language model", "i'm a language model", "i'm a large language model",
    "my training data", "my knowledge cutoff", "my knowledge cut off", "my last knowledge update",
    "as of my last update", "as of my last knowledge update", "as of my last training", "as of my knowledge cutoff",
    "i don't have personal opinions", "i do not have personal opinions", "i don't have personal experiences",
    "i do not have personal experiences", "i don't have feelings", "i do not have feelings",
    "i don't have access to real time", "i do not have access to real time", "i cannot browse the internet",
    "i can't browse the internet", "i was trained by openai", "i was created by openai", "developed by openai",
    "trained by openai", "against my programming", "my ethical guidelines", "openai's use case policy",
)  # fmt: skip
"""What tells of an assistant."""

_CANNOT = (
    "i cannot", "i can't", "i can not", "i could not", "i won't", "i will not", "i am unable to", "i'm unable to",
    "i am not able to", "i'm not able to", "i won't be able to", "i will not be able to",
)  # fmt: skip
_REFUSED = (
    "fulfill", "fulfil", "assist with", "assist you with", "assist in", "comply with your request",
    "comply with this request", "comply with that request", "help with that", "help with this", "help you with that",
    "help you with this", "provide assistance", "provide that information", "provide information on how to",
    "engage in", "generate content that", "create content that", "support or promote",
)  # fmt: skip

REFUSALS = (
    *(" ".join(pair) for pair in product(_CANNOT, _REFUSED)),
    "i have to decline", "i must respectfully decline", "i apologize, but i cannot",
    "i apologize, but i can't", "i apologize, but i am unable to", "i apologize, but i'm unable to",
    "i apologise, but i cannot", "i apologise, but i can't",
)  # fmt: skip
"""What tells of a refusal: each way of saying "I cannot" with each thing refused, and some more."""


@dataclass(frozen=True, kw_only=True)
class Disclaimer(ScannedSignal):
    """``disclaimer.count`` and ``disclaimer.refusals`` (int32), and ``disclaimer.spans`` of both kinds.

    ``count``: phrases in which an assistant speaks of being one; ``refusals``: those in which it refuses, which may be
    the answer that a task teaches. Where a row has an answer, only what lies in it counts (the first place of the
    answer after the prompt), and spans are still those of ``text``; all are null where the text does not hold the
    answer. Without an answer the whole text counts. ``phrases`` are looked for besides, as kind ``disclaimer``.
    """

    name: ClassVar[str] = "disclaimer"
    version: ClassVar[str] = "2"
    phrases: tuple[str, ...] = ()

    def figures(self, scan: Scan) -> Figures:
        """Columns ``disclaimer.*``."""
        hits = _table(self.phrases).find(scan.words(SPLITTER))
        own = scan.piece.start[hits.text]
        ranges = _answers(scan)
        found: list[list[dict[str, Any]] | None] = [None if begin < 0 else [] for begin, _ in ranges]
        last_refusal = len(DISCLAIMERS) + len(REFUSALS)
        for text, phrase, start, end in zip(
            hits.text.tolist(),
            hits.phrase.tolist(),
            (hits.start - own).tolist(),
            (hits.end - own).tolist(),
            strict=True,
        ):
            spans, (begin, stop) = found[text], ranges[text]
            if spans is not None and begin <= start and end <= stop:
                kind = REFUSAL if len(DISCLAIMERS) <= phrase < last_refusal else DISCLAIMER
                spans.append({"kind": kind, "start": start, "end": end})
        counts = {
            name: pa.array([None if spans is None else _of(kind, spans) for spans in found], pa.int32())
            for name, kind in (("disclaimer.count", DISCLAIMER), ("disclaimer.refusals", REFUSAL))
        }
        return {**counts, "disclaimer.spans": pa.array(found, pa.list_(SPAN))}


def _of(kind: str, spans: list[dict[str, Any]]) -> int:
    return sum(span["kind"] == kind for span in spans)


def _answers(scan: Scan) -> list[tuple[int, int]]:
    """Begin and end of what counts in each text; begin is -1 where the text does not hold the row's answer."""
    ranges = [(0, size) for size in scan.chars.tolist()]
    answers = scan.rows.column("answer").to_pylist()
    given = [index for index, answer in enumerate(answers) if answer]
    if given:
        content, prompts = texts(scan.rows), texts(scan.rows, "input")
        for index in given:
            begin = content[index].find(answers[index], len(prompts[index]))
            ranges[index] = (begin, begin + len(answers[index]))
    return ranges


@cache
def _table(more: tuple[str, ...]) -> PhraseTable:
    return phrase_table((*DISCLAIMERS, *REFUSALS, *more))
