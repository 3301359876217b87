"""White space in order, code as it was."""

from __future__ import annotations

import pytest

from hone.data.transforms.whitespace import Whitespace
from hone.errors import InputError


def test_trailing_spaces_line_ends_and_no_break_spaces() -> None:
    assert Whitespace().apply("a  \r\nb\t\rc\u00a0d\u202fe") == "a\nb\nc d e"


def test_indentation_and_inner_runs_of_spaces_stay() -> None:
    code = "    def f():\n        return {'a':   1}  # table\n\n\n\tx = 2"
    assert Whitespace().apply(code) == code


def test_the_ideographic_space_stays() -> None:
    assert Whitespace().apply("東京\u3000大阪") == "東京\u3000大阪"


def test_the_line_feed_at_the_end_of_a_file_stays_and_empty_text_is_empty() -> None:
    assert Whitespace().apply("a\n") == "a\n"
    assert Whitespace().apply("a\n\n\n") == "a\n"
    assert Whitespace().apply(" \n\n") == ""


@pytest.mark.parametrize(("most", "expected"), [(0, "a\nb"), (1, "a\n\nb"), (2, "a\n\n\nb"), (9, "a\n\n\n\n\nb")])
def test_runs_of_empty_lines_are_cut(most: int, expected: str) -> None:
    assert Whitespace(blank_lines=most).apply("\n\na\n \n\t\n\n\nb") == expected


def test_a_negative_count_is_an_error_with_the_number() -> None:
    with pytest.raises(InputError, match="-1"):
        Whitespace(blank_lines=-1)
