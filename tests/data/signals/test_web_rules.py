"""Gopher quality, C4 and FineWeb figures: worked by hand, and equal to the rules written out slowly."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from hone.data.signals.c4 import C4
from hone.data.signals.fineweb import FineWeb
from hone.data.signals.quality import STOP_WORDS, Quality
from hone.errors import InputError

Rows = Callable[..., pa.RecordBatch]
CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def columns(signal: Any, rows: pa.RecordBatch) -> list[dict[str, Any]]:
    return [{name.partition(".")[2]: value for name, value in row.items()} for row in signal.columns(rows).to_pylist()]


def test_quality_by_hand(rows: Rows) -> None:
    text = "• The cat...\n- #1 of 20 things…\n\nto be… or not to be ......\n  • last"
    (found,) = columns(Quality(), rows([text]))
    sizes = [3, 3, 1, 2, 2, 6, 2, 2, 2, 3, 2, 2, 4]  # The cat 1 of 20 things to be or not to be last
    assert found["words"] == 13
    assert found["mean_word_length"] == pytest.approx(sum(sizes) / 13)
    assert found["hash_ratio"] == pytest.approx(1 / 13)
    assert found["ellipsis_ratio"] == pytest.approx(4 / 13)  # two signs and two runs of dots
    assert found["alphabetic_words"] == pytest.approx(11 / 13)
    assert found["bullet_lines"] == pytest.approx(3 / 4)
    assert found["ellipsis_lines"] == pytest.approx(3 / 4)
    assert found["stop_words"] == 4  # the, of, to, be


def test_symbols_count_as_words_only_where_the_splitter_gives_them(rows: Rows) -> None:
    text = "a -- b == c ### d"
    (unicode,) = columns(Quality(), rows([text]))
    (blanks,) = columns(Quality(splitter="whitespace"), rows([text]))
    assert unicode["words"] == blanks["words"] == 4
    assert unicode["hash_ratio"] == pytest.approx(3 / 4)
    assert blanks["hash_ratio"] == pytest.approx(3 / 7)
    assert unicode["alphabetic_words"] == 1
    assert blanks["alphabetic_words"] == pytest.approx(4 / 7)
    assert (
        columns(Quality(splitter="whitespace"), rows(["The, OF with"]))[0]["stop_words"] == 2
    )  # "the," is another word


def test_a_text_without_words_has_no_shares(rows: Rows) -> None:
    empty, marks = columns(Quality(), rows(["", "!!! ..."]))
    assert empty["words"] == empty["stop_words"] == marks["words"] == 0
    assert [name for name, value in empty.items() if value is not None] == ["words", "stop_words"]
    assert marks["ellipsis_lines"] == 1
    assert marks["ellipsis_ratio"] is None
    with pytest.raises(InputError, match="single words"):
        Quality(stop_words=("of course",))


def test_c4_by_hand(rows: Rows) -> None:
    lines = [
        "This is a fine line. It has two sentences!",
        "Cited well.[12][citation needed]",
        "Too short.",
        "It goes on and on...",
        "No end mark at all",
        "Please enable JavaScript to go on.",
        "We and others use cookies here.",
        "See our Terms of Use for more.",
        "x" * 1001 + " is a long word.",
        'He said "so it is." Then { he left.',
        "Lorem Ipsum dolor sit amet.",
        "",
    ]
    (found,) = columns(C4(words=("fine line", "left", "ef")), rows(["\n".join(lines)]))
    assert found == {
        "curly_braces": 1,
        "lorem_ipsum": 1,
        "javascript_lines": 1,
        "policy_lines": 2,
        "short_lines": 1,  # the citations of the second line are words to str.split
        "unterminated_lines": 2,
        "long_words": 1,
        "kept_lines": 4,  # fine, cited, braces, ipsum
        "sentences": 2 + 1 + 2 + 1,
        "citations": 2,
        "bad_words": 2,
    }


def test_c4_without_the_end_mark_rule_keeps_more_sentences(rows: Rows) -> None:
    text = "A line of words\nAnother line of words.\ntwo words"
    assert columns(C4(), rows([text]))[0]["sentences"] == 1
    assert columns(C4(terminal_rule=False), rows([text]))[0]["sentences"] == 2
    assert columns(C4(), rows([text]))[0]["bad_words"] is None  # no list was given


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two? Three! Four", 4),
        ('She said "no." He left (at last!) Then rain.', 3),
        ("Version 3.11 of example.org is out.", 1),
        ("Wait... what is it?", 1),
        ("Wait... What is it?!", 2),
        ("Это раз. Это два. это всё.", 2),
        ("他来了。你呢\uff1f好\uff01", 3),
        ("one. two", 1),
    ],
)
def test_sentences_of_a_line(rows: Rows, text: str, sentences: int) -> None:
    signal = C4(terminal_rule=False, min_words=0)
    assert columns(signal, rows(["before.\n" + text, "  " + text + "  "]))[1]["sentences"] == sentences


def test_fineweb_by_hand(rows: Rows) -> None:
    text = "A line that ends as it should and is long.\nmenu\n\n  menu \nAnd here is one more line that ends well!”\n"
    (found,) = columns(FineWeb(), rows([text]))
    assert found["terminal_lines"] == pytest.approx(2 / 4)
    assert found["short_lines"] == pytest.approx(2 / 4)
    assert found["dup_line_chars"] == pytest.approx(4 / len(text.replace("\n", "")))
    assert found["newline_ratio"] == pytest.approx(5 / 21)


def slow_quality(text: str) -> dict[str, float]:
    """datatrove's figures with str.split as the splitter."""
    words, lines = text.split(), [line.strip() for line in text.split("\n") if line.strip()]
    real = [word for word in words if any(char.isalnum() for char in word)]
    return {
        "words": len(real),
        "mean_word_length": sum(map(len, real)) / len(real),
        "hash_ratio": text.count("#") / len(words),
        "ellipsis_ratio": (len(re.findall(r"\.{3,}", text)) + text.count("…")) / len(words),
        "bullet_lines": sum(line.startswith(("•", "-")) for line in lines) / len(lines),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines) / len(lines),
        "alphabetic_words": sum(any(char.isalpha() for char in word) for word in words) / len(words),
        "stop_words": len({word.lower() for word in words} & set(STOP_WORDS)),
    }


def slow_c4(text: str) -> dict[str, int]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    ended = [CITATION.sub("", line) for line in lines]
    return {
        "curly_braces": text.count("{"),
        "lorem_ipsum": text.lower().count("lorem ipsum"),
        "javascript_lines": sum("javascript" in line.lower() for line in lines),
        "policy_lines": sum(any(phrase in line.lower() for phrase in POLICY) for line in lines),
        "short_lines": sum(len(line.split()) < 3 for line in lines),
        "unterminated_lines": sum(not line.endswith(tuple(".?!\"'")) or line.endswith("...") for line in ended),
        "citations": len(CITATION.findall(text)),
    }


def slow_fineweb(text: str) -> dict[str, float]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    again = sum(len(line) for at, line in enumerate(lines) if line in lines[:at])
    return {
        "terminal_lines": sum(line.endswith(tuple(".!?\"'»")) for line in lines) / len(lines),
        "short_lines": sum(len(line) <= 30 for line in lines) / len(lines),
        "dup_line_chars": again / len(text.replace("\n", "")),
        "newline_ratio": text.count("\n") / len(text.split()),
    }


def test_equal_to_the_rules_written_out_on_random_texts(rows: Rows) -> None:
    draw = random.Random(11)
    parts = [
        "the", "Of", "WITH", "word", "naïve", "слово", "12", "#", "##", "...", "....", "…", "end.", "end...", '"so."',
        "-", "•", "JavaScript", "javascripts", "lorem", "ipsum", "Lorem Ipsum", "use", "cookies", "Terms of Use", "{",
        "}", "[1]", "[edit]", "x[22]", "why?", "yes!", "a" * 31, "\n", "\n", "\n\n", "\t", "don't", "»",
    ]  # fmt: skip
    texts = ["word " + " ".join(draw.choices(parts, k=draw.randint(1, 80))) for _ in range(400)]
    batch = rows(texts)
    for signal, slow in ((Quality(splitter="whitespace"), slow_quality), (C4(), slow_c4)):
        for text, found in zip(texts, columns(signal, batch), strict=True):
            expected = slow(text)
            assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6), text
    for text, found in zip(texts, columns(FineWeb(splitter="whitespace"), batch), strict=True):
        assert found == pytest.approx(slow_fineweb(text), abs=1e-6), text
