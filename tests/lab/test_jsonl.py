from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.lab import jsonl

ROWS = st.lists(st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False) | st.text() | st.none(), max_size=4))


@given(rows=ROWS)
def test_what_is_appended_is_read(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    for row in rows:
        jsonl.append(path, row)
    assert list(jsonl.read(path).rows) == rows
    assert jsonl.last_row(path) == (rows[-1] if rows else None)


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_left_out_and_said_wherever_it_was_torn(cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("torn") / "rows.jsonl"
    jsonl.append(path, {"step": 1})
    whole = (json.dumps({"step": 2, "text": "Grüße, " + "x" * 60}, ensure_ascii=False) + "\n").encode()
    with path.open("ab") as handle:
        handle.write(whole[:cut])
    lines = jsonl.read(path)
    assert lines.rows == ({"step": 1},)
    assert len(lines.torn) == 1
    assert f"rows.jsonl:2: left out a line of {cut} bytes" in lines.torn[0]

    jsonl.append(path, {"step": 3})  # the next writer must not be swallowed by the torn line
    assert [row["step"] for row in jsonl.read(path).rows] == [1, 3]
    assert jsonl.last_row(path) == {"step": 3}


def test_numbers_that_json_has_no_word_for_come_back_and_the_file_stays_json(tmp_path):
    path = tmp_path / "rows.jsonl"
    jsonl.append(path, {"loss": float("nan"), "norm": float("inf"), "rate": np.float32(0.5)})
    on_disk = json.loads(path.read_text())
    assert on_disk == {"loss": None, "norm": None, "rate": 0.5, "not_finite": {"loss": "nan", "norm": "inf"}}
    (row,) = jsonl.read(path).rows
    assert math.isnan(row["loss"])
    assert (row["norm"], row["rate"]) == (math.inf, 0.5)


def test_the_last_row_is_found_without_reading_a_long_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    for step in range(200):
        jsonl.append(path, {"step": step, "text": "x" * 50})
    assert jsonl.last_row(path, block_bytes=256) == {"step": 199, "text": "x" * 50}
    assert jsonl.last_row(path, block_bytes=10) == {"step": 199, "text": "x" * 50}


def test_a_write_that_the_disk_refuses_half_way_is_taken_back(tmp_path):
    path = tmp_path / "rows.jsonl"
    jsonl.append(path, {"step": 1})
    before = path.read_bytes()
    script = (
        "import sys\nfrom pathlib import Path\nfrom hone.lab import jsonl\nfrom hone.errors import FailedError\n"
        "try:\n    jsonl.append(Path(sys.argv[1]), {'text': 'x' * 5000})\n"
        "except FailedError as error:\n    print(error)\n"
    )
    limit = len(before) + 1000  # the first part of the line still fits

    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", script, str(path)]
    child = subprocess.run(command, capture_output=True, text=True, preexec_fn=set_limit, check=True, timeout=60)
    assert "could not append 5,013 bytes" in child.stdout
    assert path.read_bytes() == before


@pytest.mark.parametrize("num_writers", [4])
def test_lines_of_several_processes_stay_whole(tmp_path, num_writers):
    path = tmp_path / "rows.jsonl"
    pids = []
    for writer in range(num_writers):
        pid = os.fork()
        if pid == 0:
            for step in range(50):
                jsonl.append(path, {"writer": writer, "step": step, "text": "x" * 3000})
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * num_writers
    lines = jsonl.read(Path(path))
    assert lines.torn == ()
    for writer in range(num_writers):
        assert [row["step"] for row in lines.rows if row["writer"] == writer] == list(range(50))
