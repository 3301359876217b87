"""Laws that every transform keeps, whatever the text."""

from __future__ import annotations

import json
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.changing import through
from hone.data.transforms.base import Transform
from hone.data.transforms.registry import TRANSFORMS, open_transforms

# Pieces that make transforms act: mojibake, escapes, marks to compose, spaces, tags, numbers that pass their checks.
MENDED = [
    "Ã©",
    "â€™",
    "Ã\u00a0",
    "\x1b[31m",
    "e\u0301",
    "\r",
    "\r\n",
    "\u2028",
    "\u00a0",
    "\x85",
    "\ufeff",
    "&lt;",
    "&amp;lt;",
]
PAGES = [
    "<!doctype html>",
    "<html>",
    "<body>",
    "<p>",
    "</p>",
    "<pre>",
    "<code>",
    "<li>",
    "<table><tr><td>",
    "<nav>",
    "<!--",
]
NUMBERS = ["+44 20 7946 0958", "4111 1111 1111 1111", "8.8.8.8", "123-45-6789", "DE89370400440532013000", "a@b.org"]
WORDS = [
    "phone",
    "Tel. ",
    "order ",
    "AKIAIOSFODNN7EXAMPLE",
    "api_key=",
    "a8F3kq9Zx2LmP0vTrB7y",
    "👩\u200d💻",
    "“q”",
    "x",
]
WEB = [
    "[1]",
    "[",
    "]",
    "[edit]",
    "12",
    "JavaScript",
    "java",
    "script ",
    "Use cookies",
    " of three words\n",
    "\n<html>",
    "你好",
    "สวัสดี",
    "x" * 999,
]
MARKS = ["@", ".", "1", "-", " ", "  \n", "\n\n\n\n", "\t"]
PIECES = st.sampled_from([*MENDED, *PAGES, *NUMBERS, *WORDS, *WEB, *MARKS])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


@pytest.fixture(scope="module", params=[(name, {}) for name in TRANSFORMS] + [("html", {"fragments": True})], ids=str)
def transform(request: pytest.FixtureRequest) -> Transform:
    name, params = request.param
    return TRANSFORMS[name](**params)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_the_second_time_changes_nothing(transform: Transform, text: str) -> None:
    once = transform.apply(text)
    assert transform.apply(once) == once


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_a_row_that_went_through_all_transforms_goes_through_them_unchanged(text: str) -> None:
    chain = open_transforms(TRANSFORMS)
    once = through({"text": text}, chain, ["text"], Counter())
    changed: Counter[str] = Counter()
    assert through(once, chain, ["text"], changed) is once
    assert not changed


@pytest.mark.parametrize(
    ("text", "left"),
    [
        # The line before the page goes, then the page is one.
        ("Go\n<!doctype html><body><p>A line of text.</p><p>Two words</p></body>", "A line of text."),
        # A mark meets its letter where a citation stood between them.
        ("Un cafe[1]\u0301 noir", "Un caf\u00e9 noir"),
        # What was three words is one marker.
        ("A line that stays.\n+44 20 7946 0958", "A line that stays."),
    ],
)
def test_what_a_later_transform_leaves_to_an_earlier_one_is_done_too(text: str, left: str) -> None:
    changed: Counter[str] = Counter()
    chain = open_transforms(TRANSFORMS)
    assert through({"text": text}, chain, ["text"], changed) == {"text": left}
    assert set(changed.values()) == {1}  # a row once for each transform, however often it ran


def test_a_transform_can_go_to_another_process_and_into_a_cache_key(transform: Transform) -> None:
    assert isinstance(transform, Transform)
    assert pickle.loads(pickle.dumps(transform)) == transform
    assert json.loads(json.dumps(transform.params)) == transform.params


@pytest.mark.parametrize("text", ["", "plain words", "def f(x):\n    return x\n\n\nf(1)", "if a < b and c > d: pass"])
def test_plain_text_and_code_stay_as_they_are(transform: Transform, text: str) -> None:
    if transform.name == "c4-lines" and "\n" in text:
        return  # it takes lines of code out of pages, as C4 does
    assert transform.apply(text) == text
