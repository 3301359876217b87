"""Boilerplate: lines that many rows of a source share; the top lines and runs of words of a corpus, counted exactly."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from hone.data.kernels import frequent as counting
from hone.data.kernels.frequent import frequent, top
from hone.data.signals.base import CorpusSignal
from hone.data.signals.boilerplate import Boilerplate
from hone.data.signals.top import top_lines, top_ngrams
from hone.errors import InputError

Rows = Callable[..., pa.RecordBatch]
MENU = "Home | Products | About us"
WORDS = ("red", "green", "blue", "grey", "Red")


class Store:
    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def take(self, positions: Sequence[int]) -> pa.RecordBatch:
        return self._batch.take(pa.array(positions))


def sketched(signal: Boilerplate, batch: pa.RecordBatch, cut: int = 3) -> pa.Table:
    return pa.Table.from_batches([signal.sketch(batch.slice(at, cut)) for at in range(0, batch.num_rows, cut)])


def test_share_of_characters_in_shared_lines(rows: Rows) -> None:
    texts = [f"{MENU}\nThis is page number {n}\n  {MENU} " for n in range(4)] + ["", "Only this line here", MENU]
    signal = Boilerplate(min_rows=4)
    assert isinstance(signal, CorpusSignal)
    found = signal.columns(sketched(signal, rows(texts))).column("boilerplate.lines").to_pylist()
    menu, page = len(MENU), len("This is page number 0")
    assert found[:4] == pytest.approx([2 * menu / (2 * menu + page)] * 4)
    assert found[4:] == [None, 0, 1]


def test_a_line_repeated_in_one_row_is_no_boilerplate_and_sources_are_apart(rows: Rows) -> None:
    signal = Boilerplate(min_rows=2)
    texts = [f"{MENU}\n" * 9, "something else here", MENU]
    apart = rows(texts, sources=["a", "a", "b"])
    assert signal.columns(sketched(signal, apart)).column(0).to_pylist() == [0, 0, 0]
    same = rows(texts, sources=["a", "b", "a"])
    assert signal.columns(sketched(signal, same)).column(0).to_pylist() == [1, 0, 1]


def test_short_lines_are_never_boilerplate(rows: Rows) -> None:
    signal = Boilerplate(min_rows=2, min_chars=3)
    assert signal.columns(sketched(signal, rows(["}\nabc", "}\nabd", "}\nabc"]))).column(
        0
    ).to_pylist() == pytest.approx([3 / 4, 0, 3 / 4])
    with pytest.raises(InputError, match="min_rows must be 2 or more"):
        Boilerplate(min_rows=1)


def test_batches_do_not_matter_and_nothing_gives_nothing(rows: Rows) -> None:
    draw = random.Random(1)
    lines = [f"this is line number {n}" for n in range(30)]
    batch = rows(["\n".join(draw.choices(lines, k=draw.randint(0, 6))) for _ in range(60)])
    signal = Boilerplate(min_rows=12)
    whole = signal.columns(sketched(signal, batch, 60))
    assert signal.columns(sketched(signal, batch, 7)).column(0).to_pylist() == whole.column(0).to_pylist()
    none = signal.columns(pa.Table.from_batches([signal.sketch(batch.slice(0, 0))]))
    assert none.num_rows == 0


def test_top_lines_name_rows_that_hold_them(rows: Rows) -> None:
    texts = [f"{MENU}\npage {n} is a page" for n in range(5)] + ["See the licence terms\nabc", "See the licence terms"]
    batch = rows(texts)
    found = top_lines(sketched(Boilerplate(), batch), Store(batch), k=5)
    assert [(line.text, line.rows, line.source, line.examples) for line in found] == [
        (MENU, 5, "s", ("r0", "r1", "r2")),
        ("See the licence terms", 2, "s", ("r5", "r6")),
    ]


@pytest.mark.parametrize("few", [0, 1 << 20])
def test_top_ngrams_equal_a_plain_count(rows: Rows, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(counting, "_FEW", few)
    draw = random.Random(2)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(0, 30))) for _ in range(40)]
    batch = rows(texts)
    plain: Counter[str] = Counter()
    for text in texts:
        words = text.lower().split()
        plain.update(" ".join(words[at : at + 3]) for at in range(len(words) - 2))
    found = top_ngrams(lambda: [batch.slice(0, 13), batch.slice(13)], n=3, k=10)
    assert found.ngrams[0].count == plain.most_common(1)[0][1]
    assert [ngram.count for ngram in found.ngrams] == sorted((ngram.count for ngram in found.ngrams), reverse=True)
    for ngram in found.ngrams:
        assert plain[ngram.text.lower()] == ngram.count
        assert 1 <= len(ngram.examples) <= 3
        for row in ngram.examples:
            assert re.search(rf"(?i)\b{ngram.text}\b", texts[int(row[1:])])


def test_a_sentence_is_shown_once_and_not_word_by_word(rows: Rows) -> None:
    batch = rows([f"{n} all rights reserved by the owner {n}" for n in range(6)] + ["see page one", "see page one"])
    found = top_ngrams(lambda: [batch], n=3, k=5)
    shown = [(ngram.text, ngram.count, ngram.examples) for ngram in found.ngrams]
    # Four runs of three words occur six times; whichever comes first, the others overlap it or lie at the other end.
    sentence = "all rights reserved by the owner"
    assert shown[-1] == ("see page one", 2, ("r6", "r7"))
    assert 2 <= len(shown) <= 3
    assert all(text in sentence and count == 6 and rows == ("r0", "r1", "r2") for text, count, rows in shown[:-1])


def test_nothing_repeats(rows: Rows) -> None:
    batch = rows(["all words differ in this one", ""])
    assert top_ngrams(lambda: [batch], n=3).ngrams == ()
    assert top_lines(sketched(Boilerplate(), batch), Store(batch)) == []


@pytest.mark.parametrize("few", [0, 1 << 20])
def test_counts_are_exact_however_few_the_buckets(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(counting, "_BUCKET_BITS", 5)  # 32 buckets: nearly everything collides
    monkeypatch.setattr(counting, "_GATHERED", 1000)
    monkeypatch.setattr(counting, "_FEW", few)
    draw = np.random.default_rng(0)
    values = draw.integers(0, 2**64, 500, dtype=np.uint64)
    stream = draw.choice(values, 20_000, p=np.arange(500) / np.arange(500).sum())
    chunks = np.array_split(stream, 37)
    keys, counts = np.unique(stream, return_counts=True)
    found, number = frequent(lambda: chunks, 60)
    assert np.array_equal(found, keys[counts >= 60])
    assert np.array_equal(number, counts[counts >= 60])
    _, best, bound = top(lambda: chunks, 20)
    assert best.tolist() == sorted(counts.tolist(), reverse=True)[:20]
    assert bound >= sorted(counts.tolist(), reverse=True)[20]  # what the 21st has may be missing
