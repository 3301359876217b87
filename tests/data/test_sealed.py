"""Law 9, the data's part: the test's rows are read only after the reading is recorded, and are kept nowhere."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from hone.data.prepare import DataVersion, prepare
from hone.errors import InputError
from hone.task.load import parse_task

SECRET = "zanzibar"
TASK = """
task: secret
kind: classify
data: {train: train.csv, dev: 10%s}
input: "{text}"
output: "{label}"
target: 0.5
"""


def prepared(folder: Path, *, with_test: bool) -> DataVersion:
    (folder / "train.csv").write_text("text,label\n" + "".join(f"word {n},{n % 3}\n" for n in range(120)))
    (folder / "test.csv").write_text("text,label\n" + "".join(f"{SECRET} {n},{n % 4}\n" for n in range(30)))
    task = parse_task(TASK % (", test: test.csv" if with_test else ""))
    return prepare(task, folder, folder / "cache", lambda line: None)


def test_fingerprints_labels_and_count_are_free_and_hold_no_text(tmp_path: Path) -> None:
    version = prepared(tmp_path, with_test=True)
    assert (version.test.n, len(version.test.fingerprints)) == (30, 30)
    assert version.test.labels == ("0", "1", "2", "3")
    assert version.test_only_labels == ("3",)
    assert SECRET.encode() not in pickle.dumps(dataclasses.astuple(version.test))
    assert SECRET.encode() not in pickle.dumps((version.train, version.dev, version.ledger))
    assert all(SECRET.encode() not in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_each_reading_is_recorded_before_it_happens(tmp_path: Path) -> None:
    version = prepared(tmp_path, with_test=True)
    recorded: list[str] = []
    rows = version.test.read(recorded.append, "the final artifact")
    assert recorded == ["the final artifact"]
    assert [row.fields["text"] for row in rows] == [f"{SECRET} {n}" for n in range(30)]
    (tmp_path / "test.csv").unlink()

    def refuse(reason: str) -> None:
        raise PermissionError(reason)

    # Were the file opened first, its absence would be the error.
    with pytest.raises(PermissionError):
        version.test.read(refuse, "too early")


def test_a_test_that_changed_after_it_was_sealed_is_refused(tmp_path: Path) -> None:
    version = prepared(tmp_path, with_test=True)
    path = tmp_path / "test.csv"
    path.write_text(path.read_text().replace(f"{SECRET} 7,3", f"{SECRET} 7,2"))
    with pytest.raises(InputError, match="have changed since they were sealed"):
        version.test.read(lambda reason: None, "scoring")


def test_a_hashed_out_test_reads_exactly_the_rows_that_left_train(tmp_path: Path) -> None:
    version = prepared(tmp_path, with_test=False)
    rows = version.test.read(lambda reason: None, "scoring")
    elsewhere = {row.id for row in (*version.train, *version.dev)}
    assert len(rows) == version.test.n > 0
    assert not elsewhere & {row.id for row in rows}
    assert len(elsewhere) + len(rows) == 120
    texts = [row.fields["text"] for row in rows]
    assert not set(texts) & {row.fields["text"] for row in (*version.train, *version.dev)}
