"""A planted corpus in small: 2,000 documents of made-up text whose true similarities are known."""

from __future__ import annotations

import random
from itertools import accumulate

import pyarrow as pa
import pytest

from hone.data.signals.near import Near
from hone.data.table import TextRow, batches

ORIGINALS, EXACT, CHANGED = 1_300, 200, 500
THRESHOLD = 0.75


def grams(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))}


def jaccard(left: list[str], right: list[str]) -> float:
    a, b = grams(left), grams(right)
    return len(a & b) / len(a | b)


def edited(words: list[str], share: float, vocabulary: list[str], draw: random.Random) -> list[str]:
    words = list(words)
    for at in sorted(draw.sample(range(len(words)), max(1, round(share * len(words)))), reverse=True):
        word = draw.choice(vocabulary)
        words[at : at + 1] = draw.choice(([word], [], [words[at], word]))
    return words


@pytest.fixture(scope="module")
def planted() -> tuple[list[list[str]], list[tuple[int, int]], list[int | None]]:
    """Documents as words, the planted pairs, and for each document the one that it was removed for."""
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("aeioubcdfglmnprst", k=draw.randint(2, 9))) for _ in range(8_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))  # as words are: Zipf's law
    documents = [
        draw.choices(vocabulary, cum_weights=weights, k=round(draw.lognormvariate(5, 0.6)) + 20)
        for _ in range(ORIGINALS)
    ]
    chosen = draw.sample(range(ORIGINALS), EXACT + CHANGED)
    for index, original in enumerate(chosen):
        share = draw.uniform(0.003, 0.06)
        words = documents[original]
        documents.append(words if index < EXACT else edited(words, share, vocabulary, draw))
    order = draw.sample(range(len(documents)), len(documents))
    place = {document: at for at, document in enumerate(order)}
    pairs = [(place[original], place[ORIGINALS + index]) for index, original in enumerate(chosen)]
    documents = [documents[at] for at in order]
    rows = [
        TextRow(row=str(at), source="", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for at, text in enumerate(" ".join(words) for words in documents)
    ]
    signal = Near(threshold=THRESHOLD)
    sketches = pa.Table.from_batches([signal.sketch(batch) for batch in batches(rows)])
    found = signal.columns(sketches.append_column("row", pa.array([row.row for row in rows])))
    survivors = found.column("near.survivor").to_pylist()
    return documents, pairs, [None if survivor is None else int(survivor) for survivor in survivors]


def test_pairs_over_the_threshold_are_found(planted) -> None:
    documents, pairs, removed_for = planted
    similar = [pair for pair in pairs if jaccard(documents[pair[0]], documents[pair[1]]) >= THRESHOLD + 0.05]
    found = sum(removed_for[one] is not None or removed_for[two] is not None for one, two in similar)
    assert len(similar) > 350
    assert found / len(similar) >= 0.99


def test_nothing_is_removed_without_proof(planted) -> None:
    documents, pairs, removed_for = planted
    removed = [(at, kept) for at, kept in enumerate(removed_for) if kept is not None]
    assert len(removed) > 350
    assert all(removed_for[kept] is None for _, kept in removed)
    assert all(jaccard(documents[at], documents[kept]) >= THRESHOLD for at, kept in removed)
    # The originals are random text, so that nothing but a plant is like anything else.
    assert {frozenset(pair) for pair in removed} <= {frozenset(pair) for pair in pairs}
