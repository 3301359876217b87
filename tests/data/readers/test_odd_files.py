"""Files in another encoding, with marks and line ends of other systems, cut off, empty: read right, or a sentence."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from hone.data.read import Progress, read
from hone.data.rows import Bad, Row
from hone.errors import InputError

TEXTS = ["one ü", "two, 😀", "three"] * 50


def record(text: str) -> bytes:
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + text.encode()
    head = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"\r\n\r\n"


FILES: dict[str, bytes] = {
    "jsonl": "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS).encode(),
    "json": json.dumps([{"text": text} for text in TEXTS], ensure_ascii=False, indent=1).encode(),
    "csv": "".join(f'"{text}",x\n' for text in ["text", *TEXTS]).replace(",x", ",other", 1).encode(),
    "sql": "".join(["CREATE TABLE t (text text);\n", *(f"INSERT INTO t VALUES ('{t}');\n" for t in TEXTS)]).encode(),
    "txt": "\n".join(TEXTS).encode(),
    "html": f"<p>{'</p><p>'.join(TEXTS)}</p>".encode(),
    "warc": b"".join(map(record, TEXTS)),
}
LINES = ("jsonl", "json", "csv", "sql")
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: bytes(pa.compress(data, "zstd", asbytes=True)),
}


def texts(folder: Path, name: str, data: bytes) -> list[str]:
    (folder / name).write_bytes(data)
    rows = list(read(name, folder))
    assert all(isinstance(row, Row) for row in rows)
    return [row.fields["text"] for row in rows if isinstance(row, Row)]


@pytest.mark.parametrize("kind", FILES)
def test_utf16_is_named_in_every_format_with_and_without_a_mark(kind: str, tmp_path: Path) -> None:
    text = FILES[kind].decode()
    for data in (text.encode("utf-16"), codecs.BOM_UTF16_BE + text.encode("utf-16-be"), text.encode("utf-16-le")):
        (tmp_path / f"a.{kind}").write_bytes(data)
        with pytest.raises(InputError, match=rf"a\.{kind}: this .* UTF-16 text .*; save it as UTF-8"):
            list(read(f"a.{kind}", tmp_path))


@pytest.mark.parametrize("kind", LINES)
def test_a_byte_order_mark_and_carriage_returns_change_no_row(kind: str, tmp_path: Path) -> None:
    data = FILES[kind]
    assert texts(tmp_path, f"a.{kind}", data) == TEXTS
    assert texts(tmp_path, f"b.{kind}", codecs.BOM_UTF8 + data.replace(b"\n", b"\r\n")) == TEXTS


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "sql", "warc"])
def test_a_file_that_is_cut_off_anywhere_has_all_rows_that_it_begins_or_says_so(kind: str, tmp_path: Path) -> None:
    whole = FILES[kind]
    middle = len(whole) // 2
    for cut in range(middle, middle + 60):
        data = whole[:cut]
        (tmp_path / f"a.{kind}").write_bytes(data)
        progress = Progress()
        try:
            rows = list(read(f"a.{kind}", tmp_path, progress=progress))
        except InputError:
            continue
        found = [row.fields["text"] for row in rows if isinstance(row, Row)]
        assert found == TEXTS[: len(found)]
        if len(found) == len(rows) and not progress.notes:
            begun = data.count(b"WARC/") if kind == "warc" else len(data.splitlines()) - (kind in ("csv", "sql"))
            assert kind != "json"
            assert len(found) == begun


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("kind", FILES)
def test_compressed_data_that_is_cut_off_is_said(kind: str, packing: str, tmp_path: Path) -> None:
    data = PACKED[packing](FILES[kind])
    name = f"a.{kind}.{packing}"
    for cut in (len(data) // 2, len(data) - 1):
        (tmp_path / name).write_bytes(data[:cut])
        if (kind, packing) == ("warc", "gz"):  # members of gzip are read one by one, and a damaged one is a bad record
            last = list(read(name, tmp_path))[-1]
            assert isinstance(last, Bad)
            assert "cut off" in last.found
            continue
        with pytest.raises(InputError, match="the compressed data is damaged or cut off"):
            list(read(name, tmp_path))


@pytest.mark.parametrize("packing", PACKED)
def test_all_streams_of_a_compressed_file_are_read_and_none_is_lost(packing: str, tmp_path: Path) -> None:
    pack, name = PACKED[packing], f"a.jsonl.{packing}"
    one = pack(FILES["jsonl"])
    assert texts(tmp_path, name, one * 3) == TEXTS * 3
    if packing != "zst":
        assert texts(tmp_path, name, one + b"\0" * 512) == TEXTS
    for behind in (b"?" + one, one[1:], b"garbage at the end", one[: len(one) // 2]):
        (tmp_path / name).write_bytes(one + behind)
        with pytest.raises(InputError, match="the compressed data is damaged or cut off"):
            list(read(name, tmp_path))
    (tmp_path / name).write_bytes(pack(one))
    with pytest.raises(InputError, match="is compressed twice, unpacked it holds"):
        list(read(name, tmp_path))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.sql", *(f"a.jsonl.{packing}" for packing in PACKED)])
def test_a_file_without_rows_is_noted(name: str, tmp_path: Path) -> None:
    pack = PACKED.get(name.rpartition(".")[2])
    (tmp_path / name).write_bytes(pack(b"") if pack else b"")
    progress = Progress()
    assert list(read(name, tmp_path, progress=progress)) == []
    assert progress.said() == [f"{tmp_path / name} {'holds no rows' if pack else 'is empty (0 bytes)'}"]


def test_a_csv_that_begins_with_an_empty_line_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ntext,label\nx,y\n")
    with pytest.raises(InputError, match=r"a\.csv:1: the header line is empty"):
        list(read("a.csv", tmp_path))


@pytest.mark.parametrize(
    "end", ["INSERT INTO t VA", "INSERT", "INSERT INTO t SELECT 1", "INSERT INTO t VALUES (1) ON CON"]
)
def test_a_dump_that_is_cut_off_in_the_words_of_an_insert_is_an_error(end: str, tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_bytes(FILES["sql"] + end.encode())
    with pytest.raises(InputError, match="expected a semicolon behind the statement that begins on line 152, found"):
        list(read("a.sql", tmp_path))
    progress = Progress()
    (tmp_path / "a.sql").write_bytes(FILES["sql"] + b"COMMIT")
    assert len(list(read("a.sql", tmp_path, progress=progress))) == len(TEXTS)
    assert progress.said() == [
        f"{tmp_path / 'a.sql'}: the statement on line 152, the last, has no semicolon at its end"
    ]


def test_an_sqlite_file_whose_last_page_is_cut_off_is_an_error(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("CREATE TABLE t (text)")
        database.executemany("INSERT INTO t VALUES (?)", [(text * 20,) for text in TEXTS])
    whole = (tmp_path / "a.db").read_bytes()
    # SQLite itself reads on, with zeros in place of what is missing.
    (tmp_path / "a.db").write_bytes(whole[:-5])
    with pytest.raises(
        InputError, match=rf"is cut off: {len(whole) - 5:,} bytes are no whole number of its pages of 4,096"
    ):
        list(read("a.db", tmp_path))
    (tmp_path / "a.db").write_bytes(whole)
    assert len(list(read("a.db", tmp_path))) == len(TEXTS)
