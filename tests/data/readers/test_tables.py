"""CSV as spreadsheets and the csv module write it, columns that files name twice, and text with overlong lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from hone.data.read import Progress, read
from hone.data.readers import opening, text
from hone.data.rows import Bad, Row
from hone.errors import InputError

CELLS = st.text(st.sampled_from("ab ,;\"'\n\té🎵"), max_size=6)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=8),
    block=st.integers(1, 50),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
@settings(max_examples=80, deadline=None)
def test_csv_gives_back_what_the_csv_module_wrote_in_blocks_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], block: int, end: str, quoting: int
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=end, quoting=quoting)
    writer.writerows([("one", "two"), *rows])
    (folder / "a.csv").write_bytes(buffer.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", block)
        found = list(read("a.csv", folder))
    assert [row.fields for row in found if isinstance(row, Row)] == [{"one": a, "two": b} for a, b in rows]
    line, ids = 2, []
    for row in rows:
        ids.append(f"a.csv:{line}")
        line += 1 + "".join(row).count("\n")
    assert [row.id for row in found] == ids


def test_every_bad_record_of_a_csv_is_named_with_its_line(tmp_path: Path) -> None:
    lines = [b"a,b", b'1,"x', b'y"', b"2", b"3,caf\xe9", b'4,"q"r', b"5,fine", b"6,7,8"]
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines) + b"\n")
    rows = list(read("a.csv", tmp_path))
    assert [row.id for row in rows if isinstance(row, Bad)] == ["a.csv:4", "a.csv:5", "a.csv:6", "a.csv:8"]
    assert [row.fields for row in rows if isinstance(row, Row)] == [{"a": "1", "b": "x\ny"}, {"a": "5", "b": "fine"}]
    (tmp_path / "mac.csv").write_bytes(b"a,b\n1,2\r3,4\r")
    (bad,) = read("mac.csv", tmp_path)
    assert isinstance(bad, Bad)
    assert "carriage return" in bad.found
    (tmp_path / "mac.csv").write_bytes(b"a,b\r1,2\r")
    with pytest.raises(InputError, match=r"lines end in \\r alone"):
        list(read("mac.csv", tmp_path))


def test_the_nameless_row_numbers_of_pandas_get_a_name_that_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",text\n0,x\n1,y\n")
    progress = Progress()
    rows = [row.fields for row in read("a.csv", tmp_path, progress=progress) if isinstance(row, Row)]
    assert rows == [{"index": "0", "text": "x"}, {"index": "1", "text": "y"}]
    assert 'it is called "index"' in progress.said()[0]


def test_a_column_that_a_table_has_twice_is_an_error(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match='has the column "text" 2 times'):
        list(read("a.parquet", tmp_path))


def test_tables_that_need_every_position_are_unpacked_when_compressed(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"n": [1, 2]}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet.zst").write_bytes(pa.compress((tmp_path / "a.parquet").read_bytes(), "zstd", asbytes=True))
    (tmp_path / "a.parquet").unlink()
    assert [row.fields for row in read("a.parquet.zst", tmp_path) if isinstance(row, Row)] == [{"n": 1}, {"n": 2}]


@given(lines=st.lists(st.text("aé🎵 ", max_size=80), max_size=8), block=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_sections_of_text_joined_are_the_file_also_with_overlong_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], block: int
) -> None:
    folder = tmp_path_factory.mktemp("text")
    whole = "\n".join(lines)
    (folder / "a.txt").write_bytes(whole.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", block)
        patch.setattr(text, "BLOCK_BYTES", block)
        patch.setattr(text, "SECTION_CHARS", 30)
        patch.setattr(text, "LONGEST_SECTION_CHARS", 60)
        rows = list(read("a.txt", folder))
    assert all(isinstance(row, Row) for row in rows)
    assert "".join(str(row.fields["text"]) for row in rows if isinstance(row, Row)) == whole
    assert len({row.id for row in rows}) == len(rows)


STORIES = ["One day Lily found a needle.\n\nShe sewed.", "Beep was a car.", "  Fin, a fish", "Tim and"]


@pytest.mark.parametrize("separator", ["<|endoftext|>", "</s>", "<|end_of_text|>", "[EOS]"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_line_that_ends_texts_separates_documents(tmp_path: Path, separator: str, line_end: str) -> None:
    whole = f"\n{separator}\n".join([STORIES[0], "\n" + STORIES[1] + "\n\n", " ", STORIES[2], STORIES[3]])
    (tmp_path / "a.txt").write_bytes(whole.replace("\n", line_end).encode())
    progress = Progress()
    rows = [row for row in read("a.txt", tmp_path, progress=progress) if isinstance(row, Row)]
    assert [row.fields["text"].replace(line_end, "\n") for row in rows] == STORIES
    lines = whole.split("\n")
    assert [row.id for row in rows] == [f"a.txt:{lines.index(story.split(chr(10))[0]) + 1}" for story in STORIES]
    (said,) = progress.said()
    assert f'a line "{separator}" ends a document' in said
    assert "; 1 empty one is left out" in said


@pytest.mark.parametrize(
    "whole",
    [
        "A text.\n<|endoftext|>\nAnd one more.\n",
        "It ends with <|endoftext|>\nor <|endoftext|> inside.\n<|endoftext|> here\n",
        "A\n---\nB\n---\nC\n***\nD\n***\n",
        "<|user|>\nHello\n<|assistant|>\nHi\n<|user|>\nBye\n<|assistant|>\nBye\n",
    ],
)
def test_other_lines_and_one_that_comes_once_separate_nothing(tmp_path: Path, whole: str) -> None:
    (tmp_path / "a.txt").write_text(whole)
    progress = Progress()
    (row,) = read("a.txt", tmp_path, progress=progress)
    assert isinstance(row, Row)
    assert (row.fields["text"], progress.said()) == (whole, [])


@given(lines=st.lists(st.sampled_from(["", "a", "bcd é", "</s>"]), max_size=30), longest=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_documents_hold_every_line_between_their_separators_also_where_they_are_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], longest: int
) -> None:
    folder = tmp_path_factory.mktemp("text")
    whole = "\n".join(["x", "</s>", "</s>", *lines])
    (folder / "a.txt").write_bytes(whole.encode())
    progress = Progress()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK_BYTES", 7)
        patch.setattr(text, "LONGEST_DOCUMENT_CHARS", longest)
        rows = [row for row in read("a.txt", folder, progress=progress) if isinstance(row, Row)]
    documents: dict[str, list[str]] = {}
    for row in rows:
        documents.setdefault(row.id.partition(".txt:")[2].partition(".")[0], []).append(row.fields["text"])
    wanted = [part.strip("\n") for part in f"{whole}\n".split("</s>\n")]
    assert ["".join(parts).rstrip("\n") for parts in documents.values()] == [part for part in wanted if part]
    assert len({row.id for row in rows}) == len(rows)
    is_cut = any("is cut" in line for line in progress.said())
    assert is_cut or all(len(parts) == 1 for parts in documents.values())
