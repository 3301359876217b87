"""Reading 2 GB files under a limit on address space: what the process had after its imports, and 1 GB more.

For each format a file is made under ``--folder``, read in a child process, and deleted. A row of the table says how
long reading took in CPU-seconds, how many megabytes per CPU-second that is (as stored, and of the text in it), by how
much the address space grew, and the resident memory at its highest. A reader that holds the file would fail.

    python benchmarks/data/streaming.py --folder /tmp/streaming
    python benchmarks/data/streaming.py --folder /tmp/streaming --gigabytes 0.1 --formats jsonl csv
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet

ROOM_BYTES = 1 << 30
CHUNK_ROWS = 2_000
WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so said what its about"
)

CHILD = """
import json, resource, sys, time
from pathlib import Path
import numpy, orjson, pyarrow, pyarrow.parquet, sqlite3, fsspec
from hone.data.read import Progress, read
from hone.data.rows import Row

small, large, room = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
list(read(small.name, small.parent))  # what a reader imports late is imported now

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

before = status("VmSize:")
resource.setrlimit(resource.RLIMIT_AS, (before + room, before + room))
progress, started, rows, bad = Progress(), time.process_time(), 0, 0
for row in read(large.name, large.parent, progress=progress):
    rows, bad = rows + isinstance(row, Row), bad + (not isinstance(row, Row))
seconds = time.process_time() - started
print(json.dumps({"rows": rows, "bad": bad, "seconds": seconds, "address": status("VmPeak:") - before,
                  "resident": status("VmHWM:"), "done": progress.bytes_done == progress.bytes_total}))
"""


def rows_of(rng: random.Random, num: int, start: int) -> list[dict[str, Any]]:
    """Rows of about 1,000 characters of text, a label and a number."""
    texts = (" ".join(rng.choices(WORDS.split(), k=rng.randint(50, 350))) for _ in range(num))
    return [{"text": f"{text}: «ü»", "label": rng.choice("abc"), "n": start + n} for n, text in enumerate(texts)]


def chunks(size_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Chunks of rows until their text is ``size_bytes``. One chunk is made and written again and again."""
    rows = rows_of(random.Random(0), CHUNK_ROWS, 0)
    chunk_bytes = sum(len(json.dumps(row, ensure_ascii=False).encode()) + 1 for row in rows)
    for _ in range(max(1, size_bytes // chunk_bytes)):
        yield rows


def _repeated(make: Callable[[list[dict[str, Any]]], bytes]) -> Callable[[IO[bytes], int], None]:
    def write(handle: IO[bytes], size: int) -> None:
        data = b""
        for chunk in chunks(size):
            data = data or make(chunk)
            handle.write(data)

    return write


def _array(handle: IO[bytes], size: int, head: bytes = b"[", tail: bytes = b"]") -> None:
    handle.write(head)
    between = b""
    for chunk in chunks(size):
        handle.write(between + b", ".join(json.dumps(row, ensure_ascii=False).encode() for row in chunk))
        between = b",\n"
    handle.write(tail)


def _csv_rows(rows: list[dict[str, Any]]) -> bytes:
    quoted = ('"' + row["text"].replace('"', '""') + f'",{row["label"]},{row["n"]}\n' for row in rows)
    return "".join(quoted).encode()


def _inserts(rows: list[dict[str, Any]]) -> bytes:
    values = (f"({row['n']},'" + row["text"].replace("'", "''") + f"','{row['label']}')" for row in rows)
    return ("INSERT INTO `rows` VALUES " + ",".join(values) + ";\n").encode()


def _copied(rows: list[dict[str, Any]]) -> bytes:
    return "".join(f"{row['n']}\t{row['text']}\t{row['label']}\n" for row in rows).encode()


def _record(row: dict[str, Any]) -> bytes:
    body = f"<html><body><p>{row['text']}</p></body></html>".encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.org/{row['n']}\r\n"
    head += "WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
    return f"{head}Content-Length: {len(http)}\r\n\r\n".encode() + http + b"\r\n\r\n"


def _records(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(map(_record, rows))


def _packed_records(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(gzip.compress(_record(row), 1) for row in rows)


def _prose(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(row["text"] + ("\n" if row["n"] % 5 == 0 else "") for row in rows).encode() + b"\n"


def _plain(
    write: Callable[[IO[bytes], int], None], head: bytes = b"", tail: bytes = b""
) -> Callable[[Path, int], None]:
    def make(path: Path, size: int) -> None:
        with path.open("wb") as handle:
            handle.write(head)
            write(handle, size)
            handle.write(tail)

    return make


def _sqlite(path: Path, size: int) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE rows (text, label, n)")
        for chunk in chunks(size):
            database.executemany("INSERT INTO rows VALUES (:text, :label, :n)", chunk)


def _parquet(path: Path, size: int) -> None:
    schema = pa.Table.from_pylist(rows_of(random.Random(0), 1, 0)).schema
    # One row group of the default million rows, not dictionary-encoded: repeated rows must not shrink.
    with parquet.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        held: list[pa.Table] = []
        for chunk in chunks(size):
            held.append(pa.Table.from_pylist(chunk, schema))
            if sum(table.num_rows for table in held) >= 200_000:
                writer.write_table(pa.concat_tables(held))
                held = []
        if held:
            writer.write_table(pa.concat_tables(held))


def _arrow(path: Path, size: int) -> None:
    schema = pa.Table.from_pylist(rows_of(random.Random(0), 1, 0)).schema
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for chunk in chunks(size):
            writer.write_table(pa.Table.from_pylist(chunk, schema))


def _zst(path: Path, size: int) -> None:
    with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as handle:
        _LINES(handle, size)


def _opened(opener: Callable[..., Any], **settings: int) -> Callable[[Path, int], None]:
    def make(path: Path, size: int) -> None:
        with opener(path, "wb", **settings) as handle:
            _LINES(handle, size)

    return make


_LINES = _repeated(lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
_MYSQL = b"-- MySQL dump\nCREATE TABLE `rows` (`n` int,`text` text,`label` text);\n"
FORMATS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "jsonl": (".jsonl", _plain(_LINES)),
    "json array": (".json", _plain(_array)),
    "json object": (".json", _plain(lambda h, size: _array(h, size, b'{"version": "1.1", "data": [', b'], "end": 1}'))),
    "csv": (".csv", _plain(_repeated(_csv_rows), b"text,label,n\n")),
    "txt": (".txt", _plain(_repeated(_prose))),
    "parquet": (".parquet", _parquet),
    "arrow": (".arrow", _arrow),
    "sqlite": (".db", _sqlite),
    "sql insert": (
        ".sql",
        _plain(_repeated(_inserts), _MYSQL),
    ),
    "sql copy": (".sql", _plain(_repeated(_copied), b"COPY rows (n, text, label) FROM stdin;\n", b"\\.\n")),
    "warc": (".warc", _plain(_repeated(_records))),
    "warc.gz": (".warc.gz", _plain(_repeated(_packed_records))),
    "jsonl.gz": (".jsonl.gz", _opened(gzip.open, compresslevel=1)),
    "jsonl.bz2": (".jsonl.bz2", _opened(bz2.open, compresslevel=1)),
    "jsonl.xz": (".jsonl.xz", _opened(lzma.open, preset=0)),
    "jsonl.zst": (".jsonl.zst", _zst),
}


def measure(name: str, folder: Path, size: int) -> dict[str, Any]:
    """Make one file, read it in a limited child, delete it."""
    suffix, make = FORMATS[name]
    small, large = folder / f"small{suffix}", folder / f"large{suffix}"
    try:
        make(small, 1)
        started = time.monotonic()
        make(large, size)
        made = time.monotonic() - started
        stored = large.stat().st_size
        command = [sys.executable, "-c", CHILD, str(small), str(large), str(ROOM_BYTES)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path in (small, large):
            path.unlink(missing_ok=True)
    if result.returncode:
        return {"format": name, "stored": stored, "error": result.stderr.strip().splitlines()[-1]}
    return {"format": name, "stored": stored, "text": size, "made": made, **json.loads(result.stdout)}


def main() -> None:
    """Print one row per format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where files are made; each is deleted after its run"
    )
    parser.add_argument(
        "--gigabytes", type=float, default=2.0, help="size of the text in each file, in GB (10^9 bytes)"
    )
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS), metavar="FORMAT")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    print(f"{args.gigabytes:g} GB of text per file; limit: address space after imports + {ROOM_BYTES / 1e9:.2f} GB")
    heads = ("stored MB", "rows", "CPU s", "MB/CPU-s", "text MB/CPU-s", "space +MB", "RSS MB")
    print(f"{'format':12}", *(f"{head:>13}" for head in heads))
    for name in args.formats:
        found = measure(name, args.folder, int(args.gigabytes * 1e9))
        if "error" in found:
            print(f"{name:12} {found['stored'] / 1e6:9.0f} FAILED: {found['error']}", flush=True)
            continue
        assert found["bad"] == 0, found
        assert found["done"], found
        megabytes = {key: found[key] / 1e6 for key in ("stored", "text", "address", "resident")}
        rates = (megabytes[key] / found["seconds"] for key in ("stored", "text"))
        cells = (
            megabytes["stored"],
            found["rows"],
            found["seconds"],
            *rates,
            megabytes["address"],
            megabytes["resident"],
        )
        print(f"{name:12}", *(f"{cell:13,.{int(cell < 100)}f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
