"""Every format gives the same rows; every bad row is named with its place; nothing is dropped silently."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from hone.data.read import find, read
from hone.data.readers import opening
from hone.data.readers.text import SECTION_CHARS
from hone.data.rows import Bad, Row, fingerprint, fold
from hone.errors import InputError

FIXTURES = Path(__file__).parent.parent / "data"
ROWS = [
    {"text": 'a "quoted", cell', "label": "x"},
    {"text": "two\nlines ü 🎵", "label": "y"},
    {"text": "", "label": "z"},
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def fields_of(source: object, base: Path) -> list[dict[str, object]]:
    rows = list(read(source, base))  # type: ignore[arg-type]
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.fields for row in rows if isinstance(row, Row)]


def only_bad(name: str, base: Path) -> Bad:
    bad = [row for row in read(name, base) if isinstance(row, Bad)]
    assert len(bad) == 1, bad
    return bad[0]


def write_csv(path: Path, delimiter: str) -> None:
    import csv

    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, ["text", "label"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINES, encoding="utf-8")
    (tmp_path / "lines.json").write_text(LINES, encoding="utf-8")
    (tmp_path / "mark.jsonl").write_text(LINES, encoding="utf-8-sig")
    (tmp_path / "array.json").write_text(json.dumps(ROWS, indent=2), encoding="utf-8")
    for name, delimiter in (("a.csv", ","), ("semicolon.csv", ";"), ("a.tsv", "\t")):
        write_csv(tmp_path / name, delimiter)
    table = pa.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    (tmp_path / "a.jsonl.bz2").write_bytes(bz2.compress(LINES.encode()))
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(LINES.encode()))
    (tmp_path / "a.jsonl.zst").write_bytes(pa.compress(LINES.encode(), "zstd", asbytes=True))
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 13
    for name in names:
        assert fields_of(name, tmp_path) == ROWS, name
    assert fields_of(ROWS, tmp_path) == ROWS


def test_ids_are_file_and_line_of_the_record(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n" + LINES, encoding="utf-8")
    write_csv(tmp_path / "a.csv", ",")
    assert [row.id for row in read("a.jsonl", tmp_path)] == ["a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]
    # The second record spans two lines, so the third starts on line 5.
    assert [row.id for row in read("a.csv", tmp_path)] == ["a.csv:2", "a.csv:3", "a.csv:5"]
    assert next(row.id for row in read("a.csv", tmp_path, "dev/")) == "dev/a.csv:2"


def test_folder_and_glob_name_files_from_their_root_and_leave_prose_beside_tables_out(tmp_path: Path) -> None:
    for name in ("rows/b/2.jsonl", "rows/a/1.jsonl", "rows/README.md", "rows/.hidden.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"text": "x"}\n', encoding="utf-8")
    assert [row.id for row in read("rows", tmp_path)] == ["a/1.jsonl:1", "b/2.jsonl:1"]
    assert [row.id for row in read("rows/*/*.jsonl", tmp_path)] == ["a/1.jsonl:1", "b/2.jsonl:1"]
    assert find("rows", tmp_path).left_out == ("README.md",)


def test_saved_dataset_needs_no_package(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    for split in ("train", "test"):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        with pa.OSFile(str(folder / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert [row.id for row in read("saved", tmp_path)] == ["train:1", "train:2", "train:3"]
    assert next(row.id for row in read("saved:test", tmp_path)) == "test:1"
    with pytest.raises(InputError, match='no split "tset"; did you mean "test"'):
        list(read("saved:tset", tmp_path))


def test_hub_id_without_the_package_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r'pip install "hone-lm\[datasets\]"'):
        list(read("owner/name", tmp_path))


def test_text_sections_joined_are_the_file() -> None:
    base = FIXTURES / "shakespeare"
    sections = fields_of("train.txt", base)
    whole = (base / "train.txt").read_text(encoding="utf-8")
    assert "".join(str(section["text"]) for section in sections) == whole
    assert 20 < len(sections) < len(whole) / SECTION_CHARS + 1
    # All but the last end with a blank line: no paragraph is cut.
    assert all(str(section["text"]).endswith("\n\n") for section in sections[:-1])


BAD_LINES = [
    ('{"text": "a}', "one whole JSON object per line", "Unterminated string starting at column 10"),
    ("[1, 2]", "an object with one key per column", "a list of 2"),
    ('{"text": NaN}', "a JSON object", "NaN, which is not JSON"),
    ('{"a": 1, "a": 2}', "a JSON object", 'the key "a" 2 times in one object'),
    ('{"a": ["x", {"b": "\\ud83c!"}]}', "Unicode text", "a lone surrogate escape at byte 34"),
    ('{"a": "\\udf1f\\ud83c"}', "Unicode text", "a lone surrogate escape at byte 22"),
]


@pytest.mark.parametrize(("line", "expected", "found"), BAD_LINES)
def test_a_bad_json_line_says_what_and_where(tmp_path: Path, line: str, expected: str, found: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "é"}\n' + line + "\n" + '{"text": "c"}\n', encoding="utf-8")
    rows = list(read("a.jsonl", tmp_path))
    assert [row.id for row in rows] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]
    bad = rows[1]
    assert isinstance(bad, Bad)
    assert bad.expected == expected
    assert found in bad.found
    assert isinstance(rows[2], Row)


def test_a_lone_surrogate_names_its_field_and_a_pair_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": {"b": ["ok", "\\ud83c"]}}\n{"a": "\\ud83c\\udfb5 \\\\ud83c"}\n')
    bad, good = read("a.jsonl", tmp_path)
    assert isinstance(bad, Bad)
    assert bad.field == "a.b"
    assert isinstance(good, Row)
    assert good.fields == {"a": "🎵 \\ud83c"}


def test_bytes_that_are_no_utf8_are_named_with_their_position(tmp_path: Path) -> None:
    start = b'{"text": "ok"}\n{"text": "Pop Punk Perfection '
    (tmp_path / "a.jsonl").write_bytes(start + "\ud83d".encode("utf-8", "surrogatepass") + b'"}\n{"text": "c"}\n')
    bad = only_bad("a.jsonl", tmp_path)
    assert bad.id == "a.jsonl:2"
    assert f"byte 0xed at byte {len(start)} of the file" in bad.found
    assert "CESU-8" in bad.found
    (tmp_path / "a.csv").write_bytes(b"text,label\nfine,x\ncaf\xe9,y\n")
    bad = only_bad("a.csv", tmp_path)
    assert (bad.id, "0xe9 at byte 21 " in bad.found) == ("a.csv:3", True)
    (tmp_path / "wide.csv").write_bytes("text\na\n".encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        list(read("wide.csv", tmp_path))


def test_csv_faults(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("text,label\na,b\na,b,c\n\nd,e\n")
    bad = only_bad("cells.csv", tmp_path)
    assert (bad.id, bad.expected) == ("cells.csv:3", "2 cells (text, label)")
    assert bad.found.startswith("3 ")
    (tmp_path / "quote.csv").write_text('text,label\na,b\n"open,c\n')
    assert only_bad("quote.csv", tmp_path).id == "quote.csv:3"
    (tmp_path / "header.csv").write_text("text,text,\na,b,c\n")
    with pytest.raises(InputError) as caught:
        list(read("header.csv", tmp_path))
    assert len(caught.value.problems) == 2


@given(
    values=st.lists(st.dictionaries(st.text(max_size=3), st.one_of(st.text(), st.integers(), st.none())), max_size=6),
    block=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
)
@settings(max_examples=60, deadline=None)
def test_an_array_is_read_the_same_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, object]], block: int, indent: int | None
) -> None:
    folder = tmp_path_factory.mktemp("array")
    (folder / "a.json").write_text(json.dumps(values, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", block)
        rows = list(read("a.json", folder))
    assert [row.fields for row in rows if isinstance(row, Row)] == values
    assert [row.id for row in rows] == [f"a.json:{n}" for n in range(1, len(values) + 1)]


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2', '[{"a": 1} {"a": 2}]', '[{"a": 1},]', '[{"a": 1}, tru]'])
def test_an_array_that_cannot_be_read_on_is_an_error_and_not_fewer_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json:1: .*byte .*the rest of the file cannot be read"):
        list(read("a.json", tmp_path))


def test_cut_off_compressed_file_is_an_error_not_fewer_rows(tmp_path: Path) -> None:
    packed = gzip.compress(LINES.encode() * 50)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="damaged or cut off"):
        list(read("a.jsonl.gz", tmp_path))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a whole Parquet file"):
        list(read("b.parquet", tmp_path))


def test_sources_that_are_not_there_name_what_is(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n")
    shutil.copy(tmp_path / "train.jsonl", tmp_path / "odd.xyz")
    with pytest.raises(InputError, match=r'did you mean "train.jsonl"\?'):
        find("trian.jsonl", tmp_path)
    with pytest.raises(InputError, match="no file matches"):
        find("*.csv", tmp_path)
    with pytest.raises(InputError, match=r'the format "\.xyz" is not known'):
        find("odd.xyz", tmp_path)


def test_folding_takes_case_and_punctuation_away_but_no_content() -> None:
    assert fold("  Play—'Für Elise'!  ") == "play für elise"
    assert fingerprint("What's on?") == fingerprint("what s ON")
    assert fingerprint("?!") != fingerprint("🎵")
