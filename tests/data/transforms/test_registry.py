"""Transforms by name, in their order, with books kept."""

from __future__ import annotations

import pytest

from hone.data.transforms.registry import Changes, apply_all, open_transforms
from hone.errors import InputError


def test_the_order_is_the_default_one_whatever_the_order_given() -> None:
    opened = open_transforms(["redact", "c4-lines", ("whitespace", {"blank_lines": 1}), "html", "unicode"])
    assert [transform.name for transform in opened] == ["html", "unicode", "whitespace", "c4-lines", "redact"]
    assert opened[2].params == {"blank_lines": 1}


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        open_transforms(["redcat", ("whitespace", {"blank_line": 1}), ("redact", {"kinds": ["fax"]}), "html", "html"])
    said = caught.value.problems
    assert len(said) == 4
    assert 'did you mean "redact"?' in said[0]
    assert 'did you mean "blank_lines"?' in said[1]


def test_changes_are_counted_per_transform() -> None:
    texts = ["fine", "mail a@example.org and b@example.org ", "trailing  "]
    done, changes = apply_all(open_transforms(["whitespace", "redact"]), texts)
    assert done == ["fine", "mail <EMAIL> and <EMAIL>", "trailing"]
    assert [(change.name, change.rows, change.rows_changed, change.spans) for change in changes] == [
        ("whitespace", 3, 2, None),
        ("redact", 3, 1, 2),
    ]
    assert changes[0].chars_before == sum(map(len, texts))
    assert changes[-1].chars_after == sum(map(len, done))


def test_changes_of_batches_add_up() -> None:
    one = Changes(name="redact", rows=2, rows_changed=1, chars_before=10, chars_after=9, spans=3)
    assert one + one == Changes(name="redact", rows=4, rows_changed=2, chars_before=20, chars_after=18, spans=6)
