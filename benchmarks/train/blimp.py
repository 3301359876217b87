"""BLiMP: of two sentences that differ in one place, does a model find the grammatical one likelier?

A. Warstadt et al., "BLiMP: The Benchmark of Linguistic Minimal Pairs", arXiv:1912.00582: 67 paradigms of 1,000 pairs
(CC-BY-4.0). A pair is right where the whole good sentence has a higher log-probability than the whole bad one, each
behind the begin token. Published: 5-gram 61.2, LSTM 69.8, GPT-2 83.0, humans 96.4.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

LogitsOf = Callable[[Tensor], Tensor]
"""Ids (B, T) to logits (B, T, V)."""


def read_pairs(path: Path, per_paradigm: int | None = None) -> dict[str, list[tuple[str, str]]]:
    """Good and bad sentences by paradigm, from the zip file as published."""
    found: dict[str, list[tuple[str, str]]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".jsonl") and "__MACOSX" not in name:
                rows = [json.loads(line) for line in archive.read(name).decode("utf-8").splitlines() if line.strip()]
                pairs = [(row["sentence_good"], row["sentence_bad"]) for row in rows[:per_paradigm]]
                found[Path(name).stem] = pairs
    return found


def log_probabilities(logits_of: LogitsOf, sentences: Sequence[Sequence[int]], batch: int = 64) -> list[float]:
    """Of each sentence as ids, the begin token first: the sum over all tokens behind it, in nats."""
    order = sorted(range(len(sentences)), key=lambda index: len(sentences[index]))
    found = [0.0] * len(sentences)
    for begin in range(0, len(order), batch):
        part = order[begin : begin + batch]
        ids = torch.zeros(len(part), len(sentences[part[-1]]), dtype=torch.int64)
        for row, index in enumerate(part):
            ids[row, : len(sentences[index])] = torch.tensor(sentences[index])
        with torch.no_grad():
            losses = torch.nn.functional.cross_entropy(logits_of(ids)[:, :-1].mT, ids[:, 1:], reduction="none")
        for row, index in enumerate(part):
            found[index] = -float(losses[row, : len(sentences[index]) - 1].sum())
    return found


def accuracy(
    logits_of: LogitsOf, encode: Callable[[str], Sequence[int]], pairs: dict[str, list[tuple[str, str]]]
) -> dict[str, float]:
    """Share of pairs that are right, by paradigm; ``encode`` puts the begin token first."""
    found = {}
    for paradigm, rows in pairs.items():
        good, bad = (log_probabilities(logits_of, [encode(pair[side]) for pair in rows]) for side in (0, 1))
        found[paradigm] = sum(g > b for g, b in zip(good, bad, strict=True)) / len(rows)
    return found
