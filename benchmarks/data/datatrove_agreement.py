"""Decisions of hone's web rules beside those of datatrove's own filters, with the same word splitter in both.

    python benchmarks/data/datatrove_agreement.py --data FOLDER [--documents 700]

Needs ``datatrove==0.10.1`` with ``nltk`` and ``spacy`` beside hone. FOLDER holds ``cc_web_raw/*.jsonl`` and
``techdocs/techdocs.jsonl.gz``. datatrove's splitter is replaced by hone's splitters (its own costs more than all its
filters), so what is left is how figures are defined; the reasons that datatrove gives are printed where only it drops.
The row ``chain`` is FineWeb's order: repetition and Gopher quality on the page, then C4's lines, then FineWeb's rules;
hone takes lines first and then judges all. ``lines`` compares the texts that C4's line rules leave of a page.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import regex
from datatrove.data import Document
from datatrove.pipeline.filters import (
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)

from hone.data.signals.c4 import C4
from hone.data.signals.fineweb import FineWeb
from hone.data.signals.quality import Quality
from hone.data.signals.repetition import Repetition
from hone.data.signals.scanned import ScannedSignal
from hone.data.table import TextRow, text_batch
from hone.data.transforms.c4_lines import C4Lines

_ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}&&[\p{L}\p{N}]]"
_WORD = regex.compile(rf"(?V1){_ALONE}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}\p{{Pc}}]--{_ALONE}]+")
_SENTENCE_END = regex.compile(r"(?<=[.!?][\"')\]\u201d\u2019\u00bb]{0,2})\s+(?!\p{Ll})")
SPLITTERS: dict[str, Callable[[str], list[str]]] = {"unicode-words": _WORD.findall, "whitespace": str.split}
Limits = dict[str, tuple[float, float]]
QUALITY: Limits = {
    "words": (50, 100_000), "mean_word_length": (3, 10), "hash_ratio": (0, 0.1), "ellipsis_ratio": (0, 0.1),
    "bullet_lines": (0, 0.9), "ellipsis_lines": (0, 0.3), "alphabetic_words": (0.8, 1), "stop_words": (2, 8),
}  # fmt: skip
REPETITION: Limits = {
    "dup_lines": (0, 0.3), "dup_paragraphs": (0, 0.3), "dup_line_chars": (0, 0.2), "dup_paragraph_chars": (0, 0.2),
    "top_2gram": (0, 0.2), "top_3gram": (0, 0.18), "top_4gram": (0, 0.16), "dup_5gram": (0, 0.15),
    "dup_6gram": (0, 0.14), "dup_7gram": (0, 0.13), "dup_8gram": (0, 0.12), "dup_9gram": (0, 0.11),
    "dup_10gram": (0, 0.1),
}  # fmt: skip
FINEWEB: Limits = {
    "terminal_lines": (0.12, 1), "short_lines": (0, 0.67), "dup_line_chars": (0, 0.01), "newline_ratio": (0, 0.3),
}  # fmt: skip
C4_RULES: Limits = {"curly_braces": (0, 0), "lorem_ipsum": (0, 0), "sentences": (5, np.inf)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=700)
    options = parser.parse_args()
    sets = {"web pages": _web(options.data), "techdocs": _pages(options.data, options.documents)}
    print(f"{'texts':<11}{'splitter':<15}{'filter':<12}{'hone':>7}{'theirs':>8}{'agree':>8}   only datatrove drops for")
    for name, texts in sets.items():
        for splitter in SPLITTERS:
            _replace_splitter(splitter)
            for kind, signal, theirs, limits in _pairs(splitter):
                begin = time.process_time()
                verdicts = [theirs.filter(Document(text=text, id="0")) for text in texts]
                seconds = time.process_time() - begin
                _row(name, splitter, kind, _kept(signal, texts, limits), verdicts, f" ({seconds:.1f} CPU s)")
            own = [C4Lines().apply(text) for text in texts]
            parts = [_kept(signal, own, limits) for kind, signal, _, limits in _pairs(splitter) if kind != "c4"]
            _row(name, splitter, "chain", np.logical_and.reduce(parts), [_chain(splitter, text) for text in texts])
        print(f"{name:<11}{'':15}lines       {_same_lines(texts)}")


def _row(name: str, splitter: str, kind: str, kept: Any, verdicts: list[Any], more: str = "") -> None:
    own = np.array([verdict is True for verdict in verdicts])
    reasons = Counter(verdicts[at][1] for at in np.flatnonzero(kept & ~own))
    print(
        f"{name:<11}{splitter:<15}{kind:<12}{kept.mean():>7.3f}{own.mean():>8.3f}"
        f"{np.mean(kept == own):>8.3f}   {dict(reasons.most_common(3))}{more}"
    )


def _chain(splitter: str, text: str) -> Any:
    """Their verdict on a page that goes through the filters one after the other."""
    document = Document(text=text, id="0")
    theirs = {kind: found for kind, _, found, _ in _pairs(splitter)}
    for kind in ("repetition", "quality", "c4, no end", "fineweb"):
        verdict = theirs[kind].filter(document)
        if verdict is not True:
            return verdict
    return True


def _same_lines(texts: list[str]) -> str:
    """Of the pages that datatrove's filter keeps, those of which the same text is left."""
    theirs = c4_filters.C4QualityFilter(filter_no_terminal_punct=False)
    documents = [Document(text=text, id="0") for text in texts]
    kept = [at for at, document in enumerate(documents) if theirs.filter(document) is True]
    # Their lines keep the blank before a citation at the end; white space at the ends of lines is no difference.
    bare = {at: "\n".join(line.strip() for line in documents[at].text.split("\n")) for at in kept}
    same = sum(C4Lines().apply(texts[at]) == bare[at] for at in kept)
    began = time.process_time()
    for text in texts:
        C4Lines().apply(text)
    speed = sum(map(len, texts)) / (time.process_time() - began) / 1e6
    return f"{same:,} of {len(kept):,} kept pages equal; {speed:.0f} million characters per CPU-second"


def _pairs(splitter: str) -> list[tuple[str, ScannedSignal, Any, Limits]]:
    return [
        ("quality", Quality(splitter=splitter), gopher_quality_filter.GopherQualityFilter(), QUALITY),
        ("repetition", Repetition(splitter=splitter), gopher_repetition_filter.GopherRepetitionFilter(), REPETITION),
        ("fineweb", FineWeb(splitter=splitter), fineweb_quality_filter.FineWebQualityFilter(), FINEWEB),
        ("c4", C4(), c4_filters.C4QualityFilter(), C4_RULES),
        ("c4, no end", C4(terminal_rule=False), c4_filters.C4QualityFilter(filter_no_terminal_punct=False), C4_RULES),
    ]


def _replace_splitter(splitter: str) -> None:
    for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        module.split_into_words = lambda text, *_: SPLITTERS[splitter](text)
    c4_filters.split_into_sentences = lambda text, *_: [part for part in _SENTENCE_END.split(text) if part]


def _kept(signal: ScannedSignal, texts: list[str], limits: Limits) -> Any:
    """(N,) documents inside all limits; what cannot be measured is inside."""
    rows = [
        TextRow(row=str(n), source="s", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for n, text in enumerate(texts)
    ]
    columns = signal.columns(text_batch(rows))
    kept = np.ones(len(texts), np.bool_)
    for name, (low, high) in limits.items():
        values = columns.column(f"{signal.name}.{name}").to_numpy(zero_copy_only=False).astype(np.float32)
        kept &= ~((values < np.float32(low)) | (values > np.float32(high)))
    return kept


def _web(data: Path) -> list[str]:
    lines = [
        line for path in sorted((data / "cc_web_raw").glob("*.jsonl")) for line in path.read_text().split("\n") if line
    ]
    texts = [json.loads(line).get("text") or "" for line in lines]
    return [text for text in texts if re.search(r"\w", text)]


def _pages(data: Path, count: int) -> list[str]:
    with gzip.open(data / "techdocs" / "techdocs.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:4000] for line in lines]
    return [text for text in texts if re.search(r"\w", text)][:: max(len(texts) // count, 1)]


if __name__ == "__main__":
    main()
