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

FILE_BYTES = 96 << 20
ROOM_BYTES = 64 << 20

# Reads a file with ROOM bytes of address space beyond what the imports took, and prints how many rows it had.
CHILD = """
import resource, sys
from pathlib import Path
import numpy, orjson, pyarrow, pyarrow.parquet, sqlite3
pyarrow.set_cpu_count(1); pyarrow.set_io_thread_count(1)
from hone.data.read import read
from hone.data.rows import Row
list(read("small" + "".join(Path(sys.argv[1]).suffixes), Path(sys.argv[1]).parent))  # what is imported late
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(sum(isinstance(row, Row) for row in read(Path(sys.argv[1]).name, Path(sys.argv[1]).parent)))
"""
TEXT = 'The quick brown fox: jumps over the lazy dog, \\ and "on". ' * 64
ROW = {"text": TEXT, "label": "a"}
NUM_ROWS = FILE_BYTES // len(TEXT)


def write(path: Path, num_rows: int) -> None:
    line = (json.dumps(ROW) + "\n").encode()
    if path.name.endswith(".jsonl"):
        path.write_bytes(line * num_rows)
    elif path.name.endswith(".jsonl.gz"):
        with gzip.open(path, "wb", compresslevel=1) as handle:
            for _ in range(num_rows // 1000 + 1):
                handle.write(line * min(1000, num_rows))
    elif path.suffix == ".json":
        path.write_bytes(b'{"version": "1", "data": [' + (line.strip() + b",\n") * (num_rows - 1) + line + b"]}")
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
        batch = pa.RecordBatch.from_pylist([{"text": f"{TEXT}{n}"} for n in range(min(num_rows, 2_000))])
        with parquet.ParquetWriter(path, batch.schema, compression="none", use_dictionary=False) as writer:
            for _ in range(num_rows // len(batch)):
                writer.write_batch(batch)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to know the address space")
@pytest.mark.parametrize("suffix", [".jsonl.gz", ".json", ".sql", ".db", ".parquet"])
def test_memory_is_constant(tmp_path: Path, suffix: str) -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    write(tmp_path / f"small{suffix}", 3)
    write(tmp_path / f"large{suffix}", NUM_ROWS)
    command = [sys.executable, "-c", CHILD, str(tmp_path / f"large{suffix}"), str(ROOM_BYTES)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    (tmp_path / f"large{suffix}").unlink()
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) >= NUM_ROWS - 2_000
