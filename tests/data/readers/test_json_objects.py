"""JSON files that are an object around the rows, and arrays that break off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hone.data.read import Progress, read
from hone.data.readers import json_arrays, opening
from hone.data.rows import Row
from hone.errors import InputError


def write(folder: Path, value: Any, indent: int | None = None) -> None:
    (folder / "a.json").write_text(json.dumps(value, indent=indent, ensure_ascii=False), encoding="utf-8")


def fields_of(source: str, folder: Path) -> list[dict[str, Any]]:
    return [row.fields for row in read(source, folder) if isinstance(row, Row)]


ROWS = [{"text": "a"}, {"text": "b, [c] {d}"}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("block", [7, 1 << 20])
def test_the_one_array_of_objects_in_an_object_is_the_rows(
    tmp_path: Path, indent: int | None, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BLOCK_BYTES", block)
    monkeypatch.setattr(json_arrays, "_LOOK_BYTES", 16)
    # The shapes of SQuAD and Snips, and scalars, lists of scalars and objects around the array.
    squad = {"version": "1.1, {x}", "tags": ["x", 1], "meta": {"a": [{"not": "rows"}]}, "data": ROWS, "end": None}
    for value in ({"AddToPlaylist": ROWS}, squad):
        write(tmp_path, value, indent)
        progress = Progress()
        rows = list(read("a.json", tmp_path, progress=progress))
        assert [row.fields for row in rows if isinstance(row, Row)] == ROWS
        assert [row.id for row in rows] == ["a.json:1", "a.json:2"]
        (key,) = {"AddToPlaylist", "data"} & set(value)
        assert progress.said() == [f'the rows are the elements of one array: "{key}" of a.json']


def test_many_files_of_one_array_each_are_one_line(tmp_path: Path) -> None:
    for name in "abcde":
        (tmp_path / f"{name}.json").write_text(json.dumps({name.upper(): ROWS}))
    progress = Progress()
    assert len(list(read("*.json", tmp_path, progress=progress))) == 5 * len(ROWS)
    assert progress.said() == [
        'the rows are the elements of one array: "A" of a.json, "B" of b.json and 3 more',
    ]


def test_several_arrays_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    write(tmp_path, {"train": ROWS, "n": 3, "test": ROWS[:1]})
    with pytest.raises(InputError, match=r"2 arrays of objects \(train, test\); name one after a colon: a.json:train"):
        fields_of("a.json", tmp_path)
    assert fields_of("a.json:test", tmp_path) == ROWS[:1]
    assert fields_of("a.json:train", tmp_path) == ROWS
    with pytest.raises(InputError, match='no array of objects "tset"; did you mean "test"'):
        fields_of("a.json:tset", tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="has no parts"):
        fields_of("rows.jsonl:a", tmp_path)


def test_an_object_without_rows_in_it_is_one_row_and_one_per_line_are_lines(tmp_path: Path) -> None:
    write(tmp_path, {"text": "x", "tags": ["a"]}, indent=2)
    assert fields_of("a.json", tmp_path) == [{"text": "x", "tags": ["a"]}]
    # One conversation per line has an array of objects in each, and still the lines are the rows.
    line = {"messages": [{"role": "user", "content": "hi"}]}
    (tmp_path / "a.json").write_text(json.dumps(line) + "\n" + json.dumps(line) + "\n")
    assert fields_of("a.json", tmp_path) == [line, line]


BROKEN = [
    ('[{"a": 1},\n {"a": 2', "a.json:"),
    ('[{"a": 1},\n {"a": 2}]]', "a.json:2: expected nothing after the array"),
    ('[{"a": 1},\n {"a": "2}, {"a": 3}]', "a.json:"),
    ('{"data": [{"a": 1}],\n}', "a.json:2: expected a key after the comma"),
    ('{"data": [{"a": 1}]', "expected a comma or the end of the object, found the end of the file"),
    ('{"version": tru, "data": [{"a": 1}]}', "a.json:1: expected a JSON value"),
    ("[,]", "element 1 of the array"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_damage_behind_which_nothing_can_be_read_is_an_error_with_line_and_byte(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"byte \d") as caught:
        list(read("a.json", tmp_path))
    assert message in str(caught.value)


def test_a_missing_quote_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (opening, json_arrays):
        monkeypatch.setattr(module, "LONGEST_ROW_BYTES", 1 << 16)
    monkeypatch.setattr(opening, "BLOCK_BYTES", 1 << 12)
    (tmp_path / "a.json").write_text('[{"a": "' + "x" * 200_000 + '"}]')
    with pytest.raises(InputError, match=r"a\.json:1: expected an element of at most"):
        list(read("a.json", tmp_path))
    (tmp_path / "a.jsonl").write_text('{"a": "' + "x" * 200_000 + '"}')
    with pytest.raises(InputError, match=r"a\.jsonl:1: a line of more than"):
        list(read("a.jsonl", tmp_path))
