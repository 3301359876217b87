"""The fast way of reading JSON says what the slow and exact one says, or leaves it to that one."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.data.read import Progress, read
from hone.data.readers import json_arrays, json_exact, json_lines, opening
from hone.data.readers.json_structure import most_keys, number_of_keys, top_level
from hone.data.rows import Bad, Row
from hone.errors import InputError

# Pieces that two JSON readers could understand differently, or that look like structure inside of text.
STRINGS = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            ":",
            " :",
            '\\"',
            '\\":',
            "\\\\",
            ",",
            "{",
            "]",
            "é",
            "🎵",
            "\\u00e9",
            "\\ud83c",
            "\\udfb5",
            "\\n",
            "x",
        ]
    ),
    max_size=4,
).map(lambda parts: '"' + "".join(parts) + '"')
SPACE = st.sampled_from(["", "", "", " ", "\t", "  "])
NUMBERS = st.sampled_from(
    ["0", "-0", "7", "1.5", "1e3", "0.1", "1e19", "1e999", "-1E999", "NaN", "Infinity", "01", "1.", "true", "null"]
) | st.sampled_from(["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"])
KEYS = st.sampled_from(['"a"', '"a"', '"b"', '"a:"', '"\\u0061"', '"b\\""', "a"])


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    members = draw(st.lists(st.tuples(SPACE, KEYS, SPACE, SPACE, values, SPACE), max_size=3))
    return "{" + ",".join(f"{a}{key}{b}:{c}{value}{d}" for a, key, b, c, value, d in members) + "}"


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=2).map(lambda parts: "[" + ", ".join(parts) + "]")


VALUES = st.recursive(STRINGS | NUMBERS, lambda inner: lists(inner) | objects(inner), max_leaves=5)
ROWS = st.one_of(objects(VALUES), objects(VALUES), objects(VALUES), VALUES, st.text('{}[]:,"a1 \\', max_size=6))


def outcome(folder: Path, name: str) -> tuple[list[Row | Bad], str]:
    rows: list[Row | Bad] = []
    try:
        rows.extend(read(name, folder))
    except InputError as error:
        return rows, str(error)
    return rows, ""


@given(lines=st.lists(ROWS, min_size=1, max_size=4), broken=st.integers(0, 400), byte=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_lines_read_fast_are_the_lines_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], broken: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    data = bytearray("\n".join(lines).encode("utf-8", "surrogatepass"))
    if broken < len(data):
        data[broken] = byte
    (folder / "a.jsonl").write_bytes(b"{}\n" + bytes(data))
    fast = outcome(folder, "a.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "parse_all", lambda values, joined: None)
        assert fast == outcome(folder, "a.jsonl")


@given(rows=st.lists(ROWS, max_size=4), block=st.integers(1, 60), key=st.booleans())
@settings(max_examples=100, deadline=None)
def test_arrays_read_fast_are_the_arrays_read_exactly_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], block: int, key: bool
) -> None:
    folder = tmp_path_factory.mktemp("array")
    array = "[" + ",\n".join(['{"a": 1}', *rows]) + "]\n"
    (folder / "a.json").write_bytes((f'{{"v": 1, "data": {array}}}' if key else array).encode("utf-8", "surrogatepass"))
    fast = outcome(folder, "a.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "parse_list", lambda content: None)
        exact = outcome(folder, "a.json")
        patch.setattr(opening, "BLOCK_BYTES", block)
        in_blocks = outcome(folder, "a.json")
    assert fast == exact
    # Where reading stops, a smaller block may have given more rows before it.
    assert in_blocks == exact or (exact[1] and in_blocks[1])


TEXT = st.text('ab:",{}[]\\ é', max_size=5)
JSON = st.recursive(
    TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(value=JSON)
def test_keys_are_counted_as_a_parser_counts_them(value: object) -> None:
    def count(part: object) -> int:
        if isinstance(part, dict):
            return len(part) + sum(map(count, part.values()))
        return sum(map(count, part)) if isinstance(part, list) else 0

    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False, separators=(" , ", " : "))):
        data = text.encode("utf-8", "surrogatepass")
        assert number_of_keys(data) == count(value) <= most_keys(data)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(JSON, max_size=4))
def test_top_level_marks_cut_an_array_into_its_elements(values: list[object]) -> None:
    data = json.dumps(values).encode()[1:] + b', {"behind": ["it"]}'
    commas, end = top_level(data)
    cuts = [-1, *commas.tolist(), end]
    elements = [data[start + 1 : stop] for start, stop in pairwise(cuts)]
    assert [json.loads(element) for element in elements] == values if values else elements == [b""]


REFUSED = [
    ('{"a": 1, "a": 2}', 'the key "a" 2 times'),
    ('{"a": {"b": 1, "b": 1}}', 'the key "b" 2 times'),
    ('{"a" : 1, "a": 2, "t": "x\\": y"}', 'the key "a" 2 times'),
    ('{"a": NaN}', "NaN"),
    ('{"a": 1e999}', "the number 1e999, which is too large"),
    ('{"a": "\\ud83c"}', "a lone surrogate escape"),
]


@pytest.mark.parametrize(("text", "found"), REFUSED)
def test_what_two_readers_could_understand_differently_is_refused_in_lines_and_arrays(
    tmp_path: Path, text: str, found: str
) -> None:
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n' + text + '\n{"x": 3}\n')
    (tmp_path / "a.json").write_text('[{"x": 1},\n' + text + ',\n{"x": 3}]\n')
    for name in ("a.jsonl", "a.json"):
        first, bad, last = read(name, tmp_path)
        assert isinstance(bad, Bad)
        assert found in bad.found
        assert (first.id, bad.id, last.id) == (f"{name}:1", f"{name}:2", f"{name}:3")
        assert isinstance(last, Row)
        assert last.fields == {"x": 3}


def test_a_large_whole_number_keeps_its_digits(tmp_path: Path) -> None:
    number = 123456789012345678901234567890
    (tmp_path / "a.jsonl").write_text(f'{{"a": [{number}], "b": {number}}}\n')
    (row,) = read("a.jsonl", tmp_path)
    assert isinstance(row, Row)
    assert row.fields == {"a": [number], "b": number}


def test_an_object_too_deep_to_be_written_again_is_refused(tmp_path: Path) -> None:
    # orjson reads 1,024 levels; the json module, which writes rows, stops before that.
    deep = '{"a": ' + "[" * 1010 + "]" * 1010 + "}"
    shallow = '{"a": ' + "[" * 300 + "]" * 300 + "}"
    (tmp_path / "a.jsonl").write_text(f"{deep}\n{shallow}\n")
    bad, good = read("a.jsonl", tmp_path)
    assert isinstance(bad, Bad)
    assert isinstance(good, Row)
    assert json.loads(json.dumps(good.fields)) == good.fields


def test_every_bad_element_of_an_array_is_named_and_the_good_ones_read(tmp_path: Path) -> None:
    elements = ['{"a": 1}', '{"a": 1, "a": 2}', "5", '{"a": NaN}', '{"a": 5}']
    (tmp_path / "a.json").write_text("[" + ", ".join(elements) + "]")
    rows = list(read("a.json", tmp_path))
    assert [row.id for row in rows if isinstance(row, Bad)] == ["a.json:2", "a.json:3", "a.json:4"]
    assert [row.fields for row in rows if isinstance(row, Row)] == [{"a": 1}, {"a": 5}]


def test_complete_cesu8_pairs_are_read_and_counted_and_halves_refused(tmp_path: Path) -> None:
    # As in a file of the Snips data: a character beyond U+FFFF written as two surrogates of three bytes each.
    pair = "\ud83d\ude08".encode("utf-8", "surrogatepass")
    assert len(pair) == 6
    line = b'{"text": "Pop Punk Perfection ' + pair + b'"}'
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "ok"}\n' + line + b'\n{"text": "' + pair[3:] + pair[:3] + b'"}\n')
    (tmp_path / "a.json").write_bytes(b'{"Play": [' + line + b"," + line + b"]}")
    (tmp_path / "a.csv").write_bytes(b"text\nPop Punk Perfection " + pair + b"\n")
    (tmp_path / "a.txt").write_bytes(b"Pop Punk Perfection " + pair)
    for name, times in (("a.jsonl", 1), ("a.json", 2), ("a.csv", 1), ("a.txt", 1)):
        progress = Progress()
        rows = list(read(name, tmp_path, progress=progress))
        good = [row.fields["text"] for row in rows if isinstance(row, Row) and row.fields["text"] != "ok"]
        assert good == ["Pop Punk Perfection 😈"] * times
        assert [count for note, count in progress.notes.items() if "CESU-8" in note] == [times]
        bad = [row for row in rows if isinstance(row, Bad)]
        assert [row.id for row in bad] == (["a.jsonl:3"] if name == "a.jsonl" else [])
        assert all("half of a surrogate pair" in row.found for row in bad)


def test_json_exact_refuses_what_it_cannot_count(tmp_path: Path) -> None:
    assert json_exact.parse_list(b'{"a": 1}, {"b": [{"c": 2.5}]}') == [{"a": 1}, {"b": [{"c": 2.5}]}]
    assert json_exact.parse_list(b'{"a": 1, "a": 2}') is None
    assert json_exact.parse_list(b'{"a": 18446744073709551616}') is None
    assert json_exact.parse_list(b"1, 2") is None
