"""Words are those of the package regex and of str.split; lines are those of str.split too. Held on random Unicode."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest
import regex

from hone.data.kernels.codepoints import DIGIT, LETTER, MARK, PUNCTUATION, SPACE, SYMBOL, pieces
from hone.data.kernels.lines import split_lines
from hone.data.kernels.words import SPLITTERS, split_words

ALONE = r"[\p{Han}\p{Hiragana}\p{Katakana}&&[\p{L}\p{N}]]"
WORD = regex.compile(rf"(?V1){ALONE}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}\p{{Pc}}]--{ALONE}]+")
REFERENCE = {"unicode-words": WORD.findall, "whitespace": str.split}
# Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Hangul, kana, Han, combining marks, emoji, odd blanks.
RANGES = [
    (0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x180), (0x300, 0x370), (0x370, 0x400), (0x400, 0x500), (0x590, 0x700),
    (0x900, 0x980), (0xE00, 0xE80), (0x1100, 0x1200), (0x2000, 0x2070), (0x3000, 0x3130), (0x4E00, 0x4F00),
    (0xAC00, 0xAD00), (0xFE00, 0xFFF0), (0x1F300, 0x1F700), (0x20000, 0x20100), (0x1D400, 0x1D500), (0x9, 0xE),
]  # fmt: skip


def random_text(draw: random.Random) -> str:
    ranges = draw.sample(RANGES, k=draw.randint(1, 4))
    picked = (draw.choice([*ranges, (0x20, 0x21), (0xA, 0xB)]) for _ in range(draw.randint(0, 60)))
    chars = (chr(draw.randrange(*bounds)) for bounds in picked)
    # The package may know a newer Unicode than this Python: what Python does not know is left out.
    return "".join(char for char in chars if unicodedata.category(char) != "Cn")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    draw = random.Random(20_260_901)
    return ["", " ", "\n", "a", *(random_text(draw) for _ in range(3000))]


@pytest.mark.parametrize("splitter", sorted(SPLITTERS))
def test_words_are_those_of_the_reference(texts: list[str], splitter: str) -> None:
    for chars in (200_000, 500):  # one piece and many
        found: list[list[str]] = []
        for piece in pieces(texts, chars=chars):
            words = split_words(piece, splitter)
            shift = [int(piece.start[text]) for text in words.text]
            spans = list(
                zip(words.text.tolist(), (words.start - shift).tolist(), (words.end - shift).tolist(), strict=True)
            )
            own: list[list[str]] = [[] for _ in range(len(piece.start) - 1)]
            for text, start, end in spans:
                own[text].append(texts[piece.first + text][start:end])
            found += own
        wrong = [(text, got) for text, got in zip(texts, found, strict=True) if got != REFERENCE[splitter](text)]
        assert wrong == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Привет, мир! Ёлка", ["Привет", "мир", "Ёлка"]),
        ("我爱北京2008", ["我", "爱", "北", "京", "2008"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),  # vowel signs and virama are marks inside words
        ("cafe\u0301 nai\u0308ve", ["cafe\u0301", "nai\u0308ve"]),
        ("snake_case don't", ["snake_case", "don", "t"]),
        ("か\u3099く", ["か\u3099", "く"]),  # a sign of its own keeps its combining mark
    ],
)  # fmt: skip
def test_words_of_some_writing_systems(text: str, words: list[str]) -> None:
    (piece,) = pieces([text])
    found = split_words(piece)
    assert [text[start:end] for start, end in zip(found.start, found.end, strict=True)] == words


def test_classes_are_those_of_the_standard_library() -> None:
    codes = [*range(0xD800), *range(0xE000, 0x10000), *range(0x1F300, 0x1F600), 0x20000, 0x10FFFF]
    bits = {"L": LETTER, "M": MARK, "N": DIGIT, "P": PUNCTUATION, "S": SYMBOL}
    for piece in pieces(["".join(map(chr, codes))]):
        classes = piece.classes()[: len(codes)]
        for first, bit in bits.items():
            of = [unicodedata.category(chr(code)) for code in codes]
            expected = [name[0] == first and name != "Pc" for name in of]
            assert np.array_equal((classes & bit) != 0, expected), first
        assert np.array_equal((classes & SPACE) != 0, [chr(code).isspace() for code in codes])


def test_equal_words_hash_alike_in_any_case_and_others_differ() -> None:
    (piece,) = pieces(["Straße STRASSE straße the THE tHe"])
    words = split_words(piece).hash.tolist()
    assert words[0] == words[2] != words[1]  # one code point for one: ß stays ß
    assert words[3] == words[4] == words[5] != words[0]


def test_lines_are_those_of_split_and_strip(texts: list[str]) -> None:
    for piece in pieces(texts, chars=3000):
        lines = split_lines(piece)
        for index in range(len(piece.start) - 1):
            text, begin = texts[piece.first + index], int(piece.start[index])
            own = slice(lines.first[index], lines.first[index + 1])
            spans = zip(lines.start[own] - begin, lines.end[own] - begin, strict=True)
            assert [text[start:end] for start, end in spans] == [
                line.strip() for line in text.split("\n") if line.strip()
            ]
            assert lines.feeds[index] == text.count("\n")
            assert np.diff(lines.run)[own].tolist() == [len(line.split()) for line in text.split("\n") if line.strip()]


def test_paragraphs_are_runs_of_lines_between_empty_ones() -> None:
    texts = ["one\ntwo\n\n  three \n \n\t\nfour\nfive\n", "\n\n", "alone", "\n\nlate\n\n\nlater"]
    (piece,) = pieces(texts)
    start, end, text = split_lines(piece).paragraphs
    found = ["".join(map(chr, piece.codes[a:b])) for a, b in zip(start, end, strict=True)]
    assert found == ["one\ntwo", "three", "four\nfive", "alone", "late", "later"]
    assert text.tolist() == [0, 0, 0, 2, 3, 3]
