"""A reader's memory does not grow with the file: with little address space it reads files larger than that."""

from __future__ import annotations

import gzip
import json
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

FILE_BYTES = 80 << 20
ROOM_BYTES = 64 << 20

# Reads each file with ROOM bytes of address space beyond what the imports took, and prints how many rows it had.
CHILD = """
import resource, sys
from pathlib import Path
import numpy, orjson, pyarrow, pyarrow.parquet, sqlite3
from hone.data.read import read
from hone.data.rows import Row
folder, room, *suffixes = sys.argv[1:]
for suffix in suffixes:
    list(read("small" + suffix, Path(folder)))  # what is imported late
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(room)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for suffix in suffixes:
    print(suffix, sum(isinstance(row, Row) for row in read("large" + suffix, Path(folder))), flush=True)
"""
TEXT = 'The quick brown fox: jumps over the lazy dog, \\ and "on". ' * 64
ROW = {"text": TEXT, "label": "a"}
NUM_ROWS = FILE_BYTES // len(TEXT)
PART_ROWS = 1_000


def write(path: Path, num_rows: int) -> None:
    line = (json.dumps(ROW) + "\n").encode()
    if path.name.endswith(".jsonl"):
        path.write_bytes(line * num_rows)
    elif path.name.endswith(".jsonl.gz"):
        with gzip.open(path, "wb", compresslevel=1) as handle:
            for _ in range(num_rows // PART_ROWS):
                handle.write(line * PART_ROWS)
            handle.write(line * (num_rows % PART_ROWS))
    elif path.suffix == ".json":
        path.write_bytes(b'{"version": "1", "data": [' + (line.strip() + b",\n") * (num_rows - 1) + line + b"]}")
    elif path.suffix == ".txt":
        path.write_text(f"{TEXT}\n<|endoftext|>\n" * num_rows)
    elif path.suffix == ".sql":
        value = "('" + TEXT.replace("'", "''") + "','a')"
        path.write_text(
            "CREATE TABLE t (a text, b text);\nINSERT INTO t VALUES " + ",".join([value] * num_rows) + ";\n"
        )
    elif path.suffix == ".db":
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE t (text, label)")
            database.executemany("INSERT INTO t VALUES (?, ?)", ((TEXT, "a") for _ in range(num_rows)))
    else:
        batch = pa.RecordBatch.from_pylist([{"text": f"{TEXT}{n}"} for n in range(PART_ROWS)])
        with parquet.ParquetWriter(path, batch.schema, compression="none", use_dictionary=False) as writer:
            for start in range(0, num_rows, PART_ROWS):
                writer.write_batch(batch.slice(0, min(PART_ROWS, num_rows - start)))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know the address space")
def test_memory_is_constant(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    suffixes = [".jsonl.gz", ".json", ".txt", ".sql", ".db", ".parquet"]
    for suffix in suffixes:
        write(tmp_path / f"small{suffix}", 3)
        write(tmp_path / f"large{suffix}", NUM_ROWS)
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(ROOM_BYTES), *suffixes]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    for suffix in suffixes:
        (tmp_path / f"large{suffix}").unlink()
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    read = dict(line.split() for line in result.stdout.splitlines())
    assert {suffix: int(rows) for suffix, rows in read.items()} == dict.fromkeys(suffixes, NUM_ROWS)
