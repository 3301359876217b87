"""C4's line rules: worked by hand, as published, and nothing is left of what the C4 figures count."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from hone.data.kernels.codepoints import pieces
from hone.data.kernels.unspaced import num_words, signs
from hone.data.prepare import prepare
from hone.data.signals.c4 import C4, POLICY
from hone.data.table import TextRow, text_batch
from hone.data.transforms.c4_lines import C4Lines
from hone.errors import InputError
from hone.task.spec import Task

PARTS = [
    "Please enable JavaScript to go on.",
    "Read our Privacy Policy and Terms of Use here.",
    "This site uses cookies.",
    "The town lies at a river.",
    "  An indented line stays, without the blanks.  ",
    "Menu",
    "Sign in",
    "",
    "x" * 1001 + " is no word of any language",
    "x" * 1000 + " may be one, though",
    "He wrote three books{ and a play",
    "One two three",
]


def figures(*texts: str) -> list[dict[str, Any]]:
    rows = [
        TextRow(row=str(at), source="s", split="train", text=text, input=text, answer=None, label=None, fields="{}")
        for at, text in enumerate(texts)
    ]
    return C4(terminal_rule=False).columns(text_batch(rows)).to_pylist()


def published(text: str) -> str:
    """The line rules of C4's code without the one on end marks, for a text that its document rules keep."""
    kept = []
    for raw in text.splitlines():
        words = raw.split()
        if any(len(word) > 1000 for word in words):
            continue
        line = re.sub(r"\[\d*]|\[edit]|\[citation needed]", "", raw.strip())
        if len(words) < 3 or "javascript" in line.lower() or any(phrase in line.lower() for phrase in POLICY):
            continue
        kept.append(line)
    return "\n".join(kept).strip()


def test_lines_by_hand() -> None:
    text = """# The river

The river rises in the hills.[12] It was dammed in 1930.[citation needed][edit]
Menu
We and our partners use cookies to show you more.
  It runs for ninety miles [3] to the sea.
Enable JavaScript to see the map.
[1]"""
    assert C4Lines().apply(text) == (
        "# The river\nThe river rises in the hills. It was dammed in 1930.\nIt runs for ninety miles  to the sea."
    )


def test_lines_are_those_of_the_published_rules() -> None:
    draw = random.Random(0)
    for _ in range(300):
        text = "\n".join(draw.choices(PARTS, k=draw.randint(2, 12)))
        text = text.replace(" lies", draw.choice([" lies", "[4] lies", "[edit] lies"]))
        assert C4Lines().apply(text) == published(text)


def test_nothing_is_left_of_what_the_c4_figures_count() -> None:
    draw = random.Random(1)
    brackets = [
        "[",
        "]",
        "[1]",
        "edit",
        "citation needed",
        "7",
        " word",
        "java",
        "script",
        "\n",
        "你好吗",
        " use cookies",
    ]
    texts = ["One line that stays.\n" + "".join(draw.choices([*brackets, *PARTS], k=30)) for _ in range(200)]
    for found in figures(*map(C4Lines().apply, texts)):
        left = {name: found[f"c4.{name}"] for name in ("javascript_lines", "policy_lines", "short_lines", "long_words")}
        assert not any(left.values())
        assert found["c4.citations"] == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b [[1]2] c", "a b  c"),
        ("a b [ed[1]it] c", "a b  c"),
        ("a b [x [1]] c", "a b [x ] c"),
        ("a b ] [1] [ c", "a b ]  [ c"),
        ("a b [note] [Edit] c", "a b [note] [Edit] c"),
        ("see the java[1]script of it", ""),
    ],
)
def test_what_is_left_when_a_citation_goes_is_judged_too(text: str, expected: str) -> None:
    assert C4Lines().apply(text) == expected


def test_fewer_words_without_their_citations_are_fewer_words() -> None:
    assert C4Lines().apply("A line that is kept.\nQuite short [12]") == "A line that is kept."


@pytest.mark.parametrize(
    "line",
    [
        "他昨天来了。",
        "東京は日本の首都です。",
        "\u0e27\u0e31\u0e19\u0e19\u0e35\u0e49\u0e2d\u0e32\u0e01\u0e32\u0e28\u0e14\u0e35",
        "你" * 1500,
        "Привет, как дела",
    ],
    ids=["Chinese", "Japanese", "Thai", "long", "Russian"],
)
def test_no_line_goes_because_its_script_has_no_blanks(line: str) -> None:
    text = f"A line before it.\n{line}"
    assert C4Lines().apply(text) == text
    (found,) = figures(text)
    assert found["c4.kept_lines"] == 2


def test_two_signs_are_two_words_and_a_long_latin_word_among_signs_is_long() -> None:
    assert C4Lines().apply(f"A line before it.\n首页\n你好吗{'x' * 1001}你好吗") == "A line before it."


def test_the_pattern_of_signs_and_the_kernel_agree() -> None:
    text = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x33000)]))
    (piece,) = pieces([text])
    one_by_one = [
        num_words(f"x{char}x") == 1 and not char.isspace() and num_words(f"{char}{char}") == 2 for char in text[::97]
    ]
    assert one_by_one == signs(piece)[: len(text) : 97].tolist()


@pytest.mark.parametrize("value", ["42", "Sign in", "https://javascript.example/a", " New York "])
def test_a_text_of_one_short_line_is_no_page_and_stays(value: str) -> None:
    assert C4Lines().apply(value) == value.strip()


def test_limits_and_phrases_are_parameters_with_numbers_in_their_errors() -> None:
    text = "Two words\nBuy it now here\nabcdef is a word"
    assert C4Lines(min_words=2, max_word=5, policy=("BUY IT",)).apply(text) == "Two words"
    with pytest.raises(InputError) as caught:
        C4Lines(min_words=-1, max_word=0, policy="cookie")
    assert [problem for problem in caught.value.problems if "-1" in problem or "is 0" in problem or "list" in problem]
    assert len(caught.value.problems) == 3


def test_columns_beside_the_text_keep_their_lines_and_lose_their_addresses(tmp_path: Path) -> None:
    title = "How to learn JavaScript, by jane@example.org"
    rows = [
        {"text": f"A line of prose, number {n}.\nEnable JavaScript here.", "label": "x", "title": title}
        for n in range(40)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task.model_validate(
        {
            "task": "t",
            "kind": "classify",
            "data": {"train": "train.jsonl", "dev": 10},
            "clean": {"transforms": ["c4-lines", "redact"]},
            "input": "{text}",
            "output": "{label}",
            "target": 0.5,
        }
    )
    version = prepare(task, tmp_path, tmp_path / "cache", lambda line: None)
    assert version.train
    for row in (*version.train, *version.dev):
        assert row.fields["text"].startswith("A line of prose")
        assert "JavaScript" not in row.fields["text"]
        assert row.fields["title"] == title.replace("jane@example.org", "<EMAIL>")
