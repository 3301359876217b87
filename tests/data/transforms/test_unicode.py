"""Unicode repair: what is broken is mended, what is meant stays."""

from __future__ import annotations

import contextlib
import unicodedata

import ftfy
import pytest

from hone.data.transforms.unicode import Unicode

TEXTS = ["naïve café", "Größe 42 €", "Привет, мир", "l\u2019été “ici”", "日本語", "…—\u2013"]


def misread() -> list[tuple[str, str]]:
    """Each text, and what it becomes when its bytes are read in another encoding that knows them all."""
    pairs = []
    for text in TEXTS:
        for encoding in ("cp1252", "latin-1"):
            with contextlib.suppress(UnicodeDecodeError):
                pairs.append((text, text.encode().decode(encoding)))
    return pairs


@pytest.mark.parametrize(("text", "broken"), misread())
def test_utf8_that_was_read_as_something_else_is_read_anew(text: str, broken: str) -> None:
    assert Unicode().apply(broken) == text


@pytest.mark.parametrize(
    "text",
    [
        "👩‍💻 and 👨‍👩‍👧‍👦 and 🏳️‍🌈",  # joined by U+200D and U+FE0F
        "“curled” \u2018quotes\u2019 and «these»",
        "&lt;b&gt; is how HTML writes <b>",
        "ﬁne ligatures, \uff46\uff55\uff4c\uff4c width, ½, ™",
        "x\tindented\n\twith tabs",
        "می‌خواهم",  # a zero-width non-joiner that Persian needs
    ],
)
def test_what_is_meant_stays(text: str) -> None:
    assert Unicode().apply(text) == text


def test_line_ends_controls_and_composition() -> None:
    assert Unicode().apply("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert Unicode().apply("a\x00b\x07c\x1b[31mred\x1b[0m\ufeff") == "abcred"
    assert Unicode().apply("e\u0301") == "é"
    assert Unicode().apply("\ud83d\ude00") == "😀"  # a pair of surrogates is one character


def test_lines_are_repaired_as_ftfy_repairs_the_whole_text() -> None:
    text = "plain\n\u00c3\u00a9\r\nna\u00efve\n\tx\x00\n\u00e2\u20ac\u2122 end\n"
    config = ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=False, explain=False)
    assert Unicode().apply(text) == ftfy.fix_text(text, config) == "plain\n\u00e9\nna\u00efve\n\tx\n\u2019 end\n"


def test_the_output_is_nfc() -> None:
    text = "A\u030a \u1112\u1161\u11ab \u0958"
    assert unicodedata.is_normalized("NFC", Unicode().apply(text))


def test_the_parameters_name_the_version_that_decides() -> None:
    assert Unicode().params["ftfy"]
    assert Unicode().params["uncurl_quotes"] is False
