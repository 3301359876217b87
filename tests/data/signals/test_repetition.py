"""Repetition figures: worked by hand, and equal to a slow count with dictionaries."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pytest
import regex

from hone.data.signals.repetition import Repetition
from hone.errors import InputError

Rows = Callable[..., pa.RecordBatch]
WORD = regex.compile(r"[\p{L}\p{M}\p{N}\p{Pc}]+")


def slow_top(words: list[str], n: int) -> float:
    """Characters times count of the most frequent of the n-grams that occur twice, over all characters."""
    grams = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
    most = max(grams.values(), default=0)
    if most < 2:
        return 0.0
    size = max(len("".join(gram)) for gram, count in grams.items() if count == most)
    return min(size * most / len("".join(words)), 1.0)


def slow_dup(words: list[str], n: int) -> float:
    """Characters of the words that lie in an n-gram seen before, over all characters."""
    seen: set[tuple[str, ...]] = set()
    inside: set[int] = set()
    for at in range(len(words) - n + 1):
        gram = tuple(words[at : at + n])
        if gram in seen:
            inside.update(range(at, at + n))
        seen.add(gram)
    return sum(len(words[at]) for at in inside) / len("".join(words))


def slow_spans(spans: list[str], chars: int) -> tuple[float, float]:
    again = [span for at, span in enumerate(spans) if span in spans[:at]]
    return len(again) / len(spans), sum(map(len, again)) / chars


def row(rows: Rows, text: str, **params: object) -> dict[str, float | None]:
    found: dict[str, float | None] = Repetition(**params).columns(rows([text])).to_pylist()[0]  # type: ignore[arg-type]
    return {name.removeprefix("repetition."): value for name, value in found.items()}


def test_lines_by_hand(rows: Rows) -> None:
    # Four lines, one of which comes back once: 1/4 of the lines, 4 of 19 characters (line feeds are characters).
    found = row(rows, "menu\nhello\nmenu \nbye")
    assert found["dup_lines"] == pytest.approx(1 / 4)
    assert found["dup_line_chars"] == pytest.approx(4 / 20)
    # The lines are one paragraph; and here are three, of which the last is the first.
    assert found["dup_paragraphs"] == 0
    found = row(rows, "a b\nc\n\nother\n\na b\nc")
    assert found["dup_paragraphs"] == pytest.approx(1 / 3)
    assert found["dup_paragraph_chars"] == pytest.approx(5 / 19)
    assert found["dup_lines"] == pytest.approx(2 / 5)


def test_top_ngram_by_hand(rows: Rows) -> None:
    # "ab cd" twice: 4 characters times 2 of 4 + 4 + 2 = 10; "ab cd ef" occurs once and does not count.
    found = row(rows, "ab cd ef ab cd")
    assert found["top_2gram"] == pytest.approx(8 / 10)
    assert found["top_3gram"] == 0
    # Overlapping occurrences count each, and a share ends at 1: "x x" four times, 8 of 5 characters.
    assert row(rows, "x x x x x")["top_2gram"] == 1
    # Of two pairs that occur twice the longer counts: "b longer" 7 * 2 of 20.
    found = row(rows, "a b longer c a b longer", top=(2,), dup=())
    assert found == {
        **{name: found[name] for name in ("dup_lines", "dup_line_chars", "dup_paragraphs", "dup_paragraph_chars")},
        "top_2gram": pytest.approx(14 / 17),
    }


def test_one_long_ngram_is_no_repetition(rows: Rows) -> None:
    found = row(rows, "incomprehensibilities notwithstanding")
    assert found["top_2gram"] == 0


def test_duplicate_ngrams_by_hand(rows: Rows) -> None:
    # Words 1..5 again after one other word: the second five are covered, 5 of 11 one-letter words.
    found = row(rows, "a b c d e x a b c d e")
    assert found["dup_5gram"] == pytest.approx(5 / 11)
    assert found["dup_6gram"] == 0
    # Six words again: two overlapping 5-grams cover six words, each once.
    found = row(rows, "a b c d e f a b c d e f")
    assert found["dup_5gram"] == pytest.approx(6 / 12)
    assert found["dup_6gram"] == pytest.approx(6 / 12)
    assert found["dup_7gram"] == 0


def test_words_of_one_text_never_repeat_in_another(rows: Rows) -> None:
    text = "one two three four five six seven eight nine ten eleven"
    found = Repetition().columns(rows([text, text, f"{text}\n{text}"])).to_pylist()
    assert set(found[0].values()) == set(found[1].values()) == {0.0}
    assert found[2]["repetition.dup_10gram"] == pytest.approx(0.5)
    assert found[2]["repetition.dup_lines"] == pytest.approx(0.5)


def test_what_cannot_be_measured_is_null(rows: Rows) -> None:
    found = Repetition().columns(rows(["", " \n ", "!?"])).to_pylist()
    assert set(found[0].values()) == set(found[1].values()) == {None}
    assert found[2]["repetition.dup_lines"] == 0
    assert found[2]["repetition.top_2gram"] is None


def test_equal_to_slow_counting_on_random_texts(rows: Rows) -> None:
    draw = random.Random(7)
    texts = []
    for _ in range(300):
        vocabulary = [
            "".join(draw.choices("abcdeéжß", k=draw.randint(1, 6))) for _ in range(draw.choice([1, 2, 3, 8, 60]))
        ]
        lines = [" ".join(draw.choices(vocabulary, k=draw.randint(0, 9))) for _ in range(draw.randint(1, 14))]
        texts.append("\n".join(draw.choices(lines, k=draw.randint(1, 20))))
    found = Repetition().columns(rows(texts)).to_pylist()
    for text, columns in zip(texts, found, strict=True):
        words = [word.lower() for word in WORD.findall(text)]
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        paragraphs = [part.strip() for part in regex.split(r"\n(?:[ \t]*\n)+", text) if part.strip()]
        if not words:
            continue
        expected = {f"repetition.top_{n}gram": slow_top(words, n) for n in (2, 3, 4)}
        expected |= {f"repetition.dup_{n}gram": slow_dup(words, n) for n in (5, 6, 7, 8, 9, 10)}
        for name, spans in (("line", lines), ("paragraph", paragraphs)):
            number, chars = slow_spans(spans, len(text))
            expected |= {f"repetition.dup_{name}s": number, f"repetition.dup_{name}_chars": chars}
        assert columns == pytest.approx(expected, abs=1e-6), text


def test_the_splitter_decides(rows: Rows) -> None:
    text = "so, it is. so it is, so"
    assert row(rows, text, splitter="unicode-words")["top_3gram"] == pytest.approx(6 * 2 / 14)
    assert row(rows, text, splitter="whitespace")["top_3gram"] == 0
    assert dict(Repetition(splitter="whitespace").params)["splitter"] == "whitespace"
    with pytest.raises(InputError, match='no word splitter "white-space"; did you mean "whitespace"'):
        Repetition(splitter="white-space")
    with pytest.raises(InputError, match="n >= 2, given 1"):
        Repetition(top=(1, 2))
