from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from hone.lab.bookkeeping import INDEX_PATH
from hone.lab.index import TABLES, Index
from hone.lab.lab import Lab
from hone.task.recipe import Recipe

WRITER = """
folder, name = sys.argv[1].rsplit("|", 1)
lab = Lab(folder)
for attempt in range(4):
    run = lab.new_run(Recipe(seed=attempt), "task0", "data0", name=name, metric="field_f1")
    for step in (1, 2):
        run.score(step, [Score(name="field_f1", mean=0.5, low=0.4, high=0.6, n=10, higher_is_better=True)])
    run.finish({"scores": [Score(name="field_f1", mean=0.7, low=0.6, high=0.8, n=10, higher_is_better=True)]})
    artifact = lab.folder / "artifacts" / f"{name}-{attempt}.gguf"
    artifact.parent.mkdir(exist_ok=True)
    artifact.write_text(f"{name} {attempt}")
    lab.record_artifact(artifact, run.number)
    lab.record_test_reading("test", artifact=artifact.name)
print(lab.index_failures)
"""


@pytest.fixture
def full(lab, finished):
    """A lab with everything: runs with a parent and effect, a paused one, artifacts, readings."""
    first = finished("default", 0.70)
    second = finished("wider", 0.80, parent=first, hypothesis="more rows per step help", predicted="+5 points")
    paused = lab.new_run(Recipe(), "task1", "data1", name="paused")
    with paused.working():
        paused.log(3, loss=1.0)
    artifact = lab.folder / "artifacts" / "voice.gguf"
    artifact.parent.mkdir()
    artifact.write_bytes(b"GGUF and so on")
    lab.record_artifact(artifact, second, checkpoint="step-000800", certificate={"status": "certified", "size_mb": 1.2})
    lab.record_test_reading("the verdict", data_id="data0", artifact="x", run=2)
    return lab


def dump(lab):
    return Index(lab.folder / INDEX_PATH).dump()


def test_deleting_the_index_loses_nothing(full):
    before = dump(full)
    assert all(before[table] for table in TABLES)
    shutil.rmtree(full.folder / ".hone")
    counts = full.reindex()
    assert dump(full) == before
    assert counts == {table: len(rows) for table, rows in before.items()}


def test_a_question_brings_a_deleted_index_back_by_itself(full):
    before = dump(full)
    (full.folder / INDEX_PATH).unlink()
    assert len(full.query("SELECT * FROM runs")) == 3
    assert dump(full) == before


def test_rebuilding_twice_changes_nothing(full):
    full.reindex()
    before = dump(full)
    full.reindex()
    assert dump(full) == before


def test_files_that_changed_behind_the_index_are_found(full):
    shutil.rmtree(full.run("paused").folder)
    verdict = full.run("wider").folder / "verdict.json"
    verdict.write_text(verdict.read_text().replace("better", "measured by hand"))
    rows = full.query("SELECT name, verdict FROM runs ORDER BY number")
    assert rows == [{"name": "default", "verdict": None}, {"name": "wider", "verdict": "measured by hand"}]


def test_lineage_goes_from_the_data_to_the_artifact(full):
    (artifact,) = full.artifacts()
    chain, node = [], ("artifact", artifact.id)
    while True:
        select = "SELECT source_kind, source FROM edges WHERE target_kind = ? AND target = ? ORDER BY source_kind"
        sources = full.query(select, node)
        if not sources:
            break
        node = (sources[0]["source_kind"], sources[0]["source"])
        chain.append(node)
    assert chain == [("checkpoint", "2/step-000800"), ("run", "2"), ("data", "data0")]
    parents = full.query("SELECT source FROM edges WHERE source_kind = 'run' AND target_kind = 'run' AND target = '2'")
    assert parents == [{"source": "1"}]


def test_four_processes_write_at_once_and_nothing_is_missing(lab, together):
    names = ["ada", "bob", "cy", "dee"]
    printed = together(WRITER, [f"{lab.folder}|{name}" for name in names])
    assert printed == ["0\n"] * 4  # no change was refused by the index
    written = dump(lab)
    assert {table: len(rows) for table, rows in written.items()} == {
        "runs": 16, "scores": 48, "artifacts": 16, "test_readings": 16, "edges": 32, "sources": 18,
    }  # fmt: skip
    shutil.rmtree(lab.folder / ".hone")
    lab.reindex()
    assert dump(lab) == written


def test_a_file_that_is_no_database_is_made_anew_and_that_is_said(full, said):
    before = dump(full)
    for suffix in ("-wal", "-shm"):
        (full.folder / f"{INDEX_PATH}{suffix}").unlink(missing_ok=True)
    (full.folder / INDEX_PATH).write_bytes(b"not a database, " * 100)
    assert len(full.query("SELECT * FROM runs")) == 3
    assert dump(full) == before
    assert any("is not a readable database" in sentence for sentence in said)


def test_an_index_of_another_version_is_made_anew(full):
    before = dump(full)
    db = sqlite3.connect(full.folder / INDEX_PATH)
    db.execute("DROP TABLE scores")
    db.execute("CREATE TABLE scores (of, another, version)")
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert len(full.query("SELECT * FROM scores WHERE final")) == 2
    assert dump(full) == before


def test_an_index_that_cannot_be_written_stops_no_run_and_is_said_once(lab, finished, said):
    (lab.folder / ".hone").mkdir(parents=True)
    (lab.folder / INDEX_PATH).mkdir()  # SQLite cannot open a folder
    run = finished("default", 0.5)
    assert run.status == "finished"
    assert lab.index_failures >= 3
    assert len([sentence for sentence in said if "the files have it: hone runs --reindex" in sentence]) == 1
    assert [row["name"] for row in lab.query("SELECT name FROM runs")] == ["default"]
    assert any("read from the files instead" in sentence for sentence in said)


def test_the_index_may_be_used_after_a_fork(lab, finished):
    finished("parent", 0.5)
    pid = os.fork()
    if pid == 0:
        lab.new_run(Recipe(), "task0", "data0", name="child")
        os._exit(lab.index_failures)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(Index(lab.folder / INDEX_PATH).rows("SELECT * FROM runs")) == 2


def test_a_reading_lab_elsewhere_sees_the_same(full):
    copy = full.folder.with_name("copy")
    shutil.copytree(full.folder, copy, ignore=shutil.ignore_patterns(".hone"))
    moved = Lab(copy)
    select = "SELECT number, name, status, effect, verdict, parent FROM runs ORDER BY number"
    assert moved.query(select) == full.query(select)
