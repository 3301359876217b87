"""Swapped values change in input and output together, and only where that is safe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hone.data.augment import SwapValues
from hone.data.read import read
from hone.data.rows import Row, canonical
from hone.errors import InputError
from hone.task.load import load_task
from hone.task.spec import Task

FIXTURES = Path(__file__).parent.parent / "data"
TASK = load_task(FIXTURES / "voice")
ROWS = [row for row in read("train.jsonl", FIXTURES / "voice") if isinstance(row, Row)]


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value] if isinstance(value, list) else type(value).__name__


def open_rows(*rows: dict[str, Any]) -> list[Row]:
    """The given rows first, then enough rows that the fields artist and song are open."""
    more = [
        {"text": f"play tune{n} by band{n}", "intent": "play", "slots": {"song": f"tune{n}", "artist": f"band{n}"}}
        for n in range(30)
    ]
    return [Row(f"t:{n}", fields) for n, fields in enumerate([*rows, *more], 1)]


@pytest.mark.parametrize("random_words", [0.0, 0.5, 1.0])
def test_every_value_that_stood_in_the_text_still_does(random_words: float) -> None:
    swap = SwapValues(TASK, ROWS, 1.0, random_words, min_values=8)
    changed = 0
    for epoch in range(3):
        for row in ROWS:
            new = swap.apply(row, 7, epoch)
            changed += new is not row
            assert (new.id, new.fields["intent"], shape(new.fields)) == (
                row.id,
                row.fields["intent"],
                shape(row.fields),
            )
            before = [value in row.fields["text"] for value in leaves(row.fields["slots"])]
            after = [value in new.fields["text"] for value in leaves(new.fields["slots"])]
            assert before == after
    assert changed > 0.7 * 3 * len(ROWS)


def test_the_words_around_the_values_stay() -> None:
    rows = open_rows(
        {"text": "please play adele's hello now", "intent": "play", "slots": {"artist": "adele", "song": "hello"}}
    )
    new = SwapValues(TASK, rows, 1.0).apply(rows[0], 0, 0).fields
    artist, song = new["slots"]["artist"], new["slots"]["song"]
    assert artist != "adele"
    assert song != "hello"
    assert new["text"] == f"please play {artist}'s {song} now"
    assert rows[0].fields["slots"] == {"artist": "adele", "song": "hello"}


def test_values_are_drawn_from_their_own_field_and_lists_are_members_of_it() -> None:
    rows = open_rows({"text": "play abba and muse", "intent": "play", "slots": {"artist": ["abba", "muse"]}})
    swap = SwapValues(TASK, rows, 1.0)
    artists = {f"band{n}" for n in range(30)} | {"abba", "muse"}
    seen = set()
    for epoch in range(400):
        new = swap.apply(rows[0], 0, epoch).fields["slots"]["artist"]
        assert new[0] != "abba"
        assert new[1] != "muse"
        seen.update(new)
    assert seen == artists
    assert swap.open_fields == {"slots.artist": 32, "slots.song": 30}


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("play hello hello", {"song": "hello"}),  # twice in the text
        ("play nothing", {"song": "hello"}),  # not in the text
        ("play hellos", {"song": "hello"}),  # inside a word
        ("play the wall street", {"song": "the wall", "artist": "wall street"}),  # overlapping
        ("play the wall", {"song": "the wall", "artist": "wall"}),  # one inside the other
        ("play hello", {"song": "hello", "artist": "hello"}),  # one place for two values
        ("at noon", {"time": "noon"}),  # a closed field
        ("play ", {"song": ""}),  # nothing
    ],
)
def test_values_that_cannot_be_swapped_safely_are_left_alone(text: str, slots: dict[str, str]) -> None:
    rows = open_rows({"text": text, "intent": "play", "slots": slots})
    swap = SwapValues(TASK, rows, 1.0, 0.5)
    assert all(swap.apply(rows[0], 0, epoch) is rows[0] for epoch in range(20))


def test_the_result_depends_on_seed_epoch_and_row_alone() -> None:
    first, second = (SwapValues(TASK, ROWS, 0.5, 0.3, min_values=8) for _ in range(2))
    forward = [first.apply(row, 3, 1) for row in ROWS]
    backward = [second.apply(row, 3, 1) for row in reversed(ROWS)][::-1]
    assert forward == backward
    assert forward != [first.apply(row, 4, 1) for row in ROWS]
    assert forward != [first.apply(row, 3, 2) for row in ROWS]


def test_rates_are_shares() -> None:
    rows = open_rows()
    for rate in (0.0, 0.3, 1.0):
        swap = SwapValues(TASK, rows, rate)
        changed = sum(swap.apply(row, 0, epoch) is not row for row in rows for epoch in range(60))
        assert changed / (60 * len(rows)) == pytest.approx(rate, abs=0.04)
    half = SwapValues(TASK, rows, 1.0, value_rate=0.5)
    news = [(row.fields["slots"], half.apply(row, 0, epoch).fields["slots"]) for row in rows for epoch in range(60)]
    swapped = sum(old[field] != new[field] for old, new in news for field in old)
    assert swapped / (2 * len(news)) == pytest.approx(0.5, abs=0.04)


def test_random_words_are_one_to_four_words_of_open_values() -> None:
    rows = open_rows({"text": "play x y", "intent": "play", "slots": {"artist": "x y"}})
    swap = SwapValues(TASK, rows, 1.0, 1.0)
    words = {word for row in rows for value in row.fields["slots"].values() for word in value.split()}
    drawn = [swap.apply(rows[0], 0, epoch).fields["slots"]["artist"].split() for epoch in range(200)]
    assert {len(value) for value in drawn} == {1, 2, 3, 4}
    assert {word for value in drawn for word in value} <= words


def test_several_input_columns_are_searched_and_other_columns_are_kept() -> None:
    task = Task.model_validate(
        {
            "task": "t",
            "kind": "extract",
            "data": {"train": "x"},
            "target": 0.5,
            "input": "{title}: {body}",
            "output": {"who": "{who}"},
        }
    )
    rows = [
        Row(f"a:{n}", {"title": "mail", "body": f"from p{n} today", "who": f"p{n}", "note": "kept"}) for n in range(30)
    ]
    new = SwapValues(task, rows, 1.0).apply(rows[0], 0, 0)
    assert new.fields["who"] != "p0"
    assert canonical(new.fields) == canonical(
        {"title": "mail", "body": f"from {new.fields['who']} today", "who": new.fields["who"], "note": "kept"}
    )


def test_other_kinds_of_task_are_refused() -> None:
    with pytest.raises(InputError, match="this one is of kind classify"):
        SwapValues(load_task(FIXTURES / "banking"), [], 0.5)
