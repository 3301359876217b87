"""Files that are not what their names say, and addresses that hide their secrets."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from hone.data.read import Progress, find, read
from hone.data.readers.addresses import as_query, with_variables, without_secrets
from hone.data.rows import Row
from hone.errors import InputError

LINES = "".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(500))


def write_parquet(path: Path) -> None:
    parquet.write_table(pa.table({"text": ["a"]}), path)


def write_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (a)")


WRONG = [
    ("a.jsonl", lambda p: p.write_bytes(gzip.compress(LINES.encode())), "gzip-compressed data.*name it a.jsonl.gz"),
    ("a.csv", write_parquet, "a Parquet file, but its name ends in.*name it a.parquet"),
    ("a.json", write_sqlite, "an SQLite database.*name it a.db"),
    ("a.csv", lambda p: p.write_bytes(b"PK\x03\x04rest of an archive"), "a ZIP archive or an Office file"),
    ("a.jsonl.gz", lambda p: p.write_text(LINES), r'is named "\.gz" and is not gzip-compressed data: it begins with'),
    ("a.parquet", lambda p: p.write_text(LINES), "is not a Parquet file"),
    ("a.db", lambda p: p.write_text(LINES), "is not an SQLite database"),
    ("a.jsonl", lambda p: p.write_bytes(LINES.encode("utf-16")), "UTF-16 text .byte-order mark"),
    ("a.csv", lambda p: p.write_bytes(LINES.encode("utf-16-le")), "every second byte is 0"),
    ("a.txt.gz", lambda p: p.write_bytes(gzip.compress(LINES.encode("utf-16"))), "UTF-16"),
    ("a.csv.gz", lambda p: p.write_bytes(gzip.compress(gzip.compress(b"a,b\n1,2\n"))), "gzip-compressed data"),
    ("a.jsonl", lambda p: p.write_text('[{"a": 1},\n{"a": 2}]'), "a JSON array .*suffix .json"),
    ("a.jsonl.gz", lambda p: p.write_bytes(gzip.compress(LINES.encode())[:-9]), "damaged or cut off"),
    ("a.jsonl.zst", lambda p: p.write_bytes(pa.compress(LINES.encode(), "zstd", asbytes=True)[:-9]), "damaged or cut"),
]


@pytest.mark.parametrize(("name", "write", "message"), WRONG)
def test_a_file_that_is_not_what_its_name_says_is_named_for_what_it_is(
    tmp_path: Path, name: str, write: object, message: str
) -> None:
    write(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        list(read(name, tmp_path))


def test_an_unknown_suffix_is_told_by_its_content(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train")
    with pytest.raises(InputError, match=r"it holds a Parquet file; name it \*\.parquet"):
        find("train", tmp_path)


def test_a_folder_without_data_names_what_is_there_and_an_empty_file_is_noted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no data file in this folder .*found cat\.png"):
        find("photos", tmp_path)
    (tmp_path / "empty.jsonl").touch()
    progress = Progress()
    assert list(read("empty.jsonl", tmp_path, progress=progress)) == []
    assert "is empty (0 bytes)" in progress.said()[0]


def test_members_of_gzip_files_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES.encode()) + gzip.compress(LINES.encode()))
    assert sum(isinstance(row, Row) for row in read("a.jsonl.gz", tmp_path)) == 1000


def test_progress_counts_the_bytes_as_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "1.jsonl").write_text(LINES)
    (tmp_path / "rows" / "2.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    parquet.write_table(pa.table({"text": ["a", "b"]}), tmp_path / "rows" / "3.parquet")
    with closing(sqlite3.connect(tmp_path / "rows" / "4.db")) as database, database:
        database.execute("CREATE TABLE t AS SELECT 'x' AS text")
    seen: list[tuple[int, int]] = []
    progress = Progress(lambda done, total: seen.append((done, total)))
    list(read("rows", tmp_path, progress=progress))
    total = sum(path.stat().st_size for path in (tmp_path / "rows").iterdir())
    assert progress.bytes_done == progress.bytes_total == total
    assert seen == sorted(seen)
    assert {whole for _, whole in seen} == {total}


def test_no_secret_of_an_address_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_secrets("postgresql://me:hunter2@host/db") == "postgresql://me:***@host/db"
    signed = "https://store/x.jsonl?X-Amz-Signature=abc&part=1&token=def"
    assert without_secrets(signed) == "https://store/x.jsonl?X-Amz-Signature=***&part=1&token=***"
    query = as_query("postgresql+psycopg://me:hunter2@[::1]/db::SELECT a::text FROM t")
    assert query is not None
    assert query.query == "SELECT a::text FROM t"
    assert "hunter2" not in f"{query} {query!r}"
    monkeypatch.setenv("HONE_TEST_PASSWORD", "p")
    assert with_variables("mysql://u:${HONE_TEST_PASSWORD}@h/d") == "mysql://u:p@h/d"
    with pytest.raises(InputError, match="no variable HONE_TEST_NOWHERE"):
        with_variables("mysql://u:${HONE_TEST_NOWHERE}@h/d")
