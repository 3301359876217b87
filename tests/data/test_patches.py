"""Edits of rows are records: they apply, they notice a changed source, and a version can be made again without them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hone.data.making import record
from hone.data.patches import FILE, Patches, add
from hone.data.prepare import DataVersion, prepare
from hone.data.rows import Row
from hone.data.versions import find_version, head, version_ledger, version_rows, versions
from hone.errors import InputError
from hone.task.spec import Clean, Task


def task(folder: Path, clean: dict[str, object] | None = None) -> Task:
    lines = [json.dumps({"text": f"row {n}", "label": "xy"[n % 2], "n": n}) for n in range(40)]
    if not (folder / "train.jsonl").exists():
        (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = {"task": "t", "kind": "classify", "data": {"train": "train.jsonl", "dev": 5}, "clean": clean or {}}
    return Task.model_validate({**made, "input": "{text}", "output": "{label}", "target": 0.5})


def make(folder: Path, clean: dict[str, object] | None = None) -> DataVersion:
    return prepare(task(folder, clean), folder, folder / ".hone" / "cache", lambda line: None)


def rows_of(data: DataVersion) -> dict[str, dict[str, object]]:
    return {row.id: row.fields for row in (*data.train, *data.dev)}


def test_an_edit_changes_one_column_of_one_row_and_the_source_stays(tmp_path: Path) -> None:
    before = make(tmp_path)
    source = (tmp_path / "train.jsonl").read_bytes()
    row = Row("train.jsonl:3", {"text": "row 2", "label": "x", "n": 2})
    add(tmp_path, row, {"label": "y"}, why="seen by hand")
    after = make(tmp_path)
    assert (tmp_path / "train.jsonl").read_bytes() == source
    old, new = rows_of(before), rows_of(after)
    changed = {name for name in old if name in new and old[name] != new[name]}
    assert changed == {"train.jsonl:3"} & set(old)
    assert after.id != before.id
    assert after.making.patches["count"] == 1


def test_a_row_left_out_by_hand_is_in_the_ledger_with_the_reason(tmp_path: Path) -> None:
    make(tmp_path)
    add(tmp_path, Row("train.jsonl:4", {"text": "row 3", "label": "y", "n": 3}), {}, drop=True, why="nonsense")
    data = make(tmp_path)
    assert "train.jsonl:4" not in rows_of(data)
    (reason,) = data.ledger.reasons_of("train.jsonl:4")
    assert reason.name == "by-hand"
    assert "nonsense" in reason.evidence
    assert sum(data.ledger.kept.values()) + len(data.ledger.entries) == sum(data.ledger.read.values())


def test_an_edit_of_a_row_that_changed_since_is_refused_with_both_values(tmp_path: Path) -> None:
    make(tmp_path)
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"label": "y"})
    add(tmp_path, Row("gone.jsonl:1", {"text": "a", "label": "x"}), {"label": "y"})
    text = (
        (tmp_path / "train.jsonl").read_text(encoding="utf-8").replace('"row 0", "label": "x"', '"row 0", "label": "z"')
    )
    (tmp_path / "train.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    assert '"label" was "x"; it is now "z"' in str(caught.value)
    assert "1 edited rows are in no source, first gone.jsonl:1" in str(caught.value)


def test_edits_that_change_nothing_or_name_no_column_are_refused(tmp_path: Path) -> None:
    row = Row("train.jsonl:1", {"text": "a", "label": "x"})
    with pytest.raises(InputError, match="has no column lable; its columns: text, label"):
        add(tmp_path, row, {"lable": "y"})
    with pytest.raises(InputError, match="holds these values already"):
        add(tmp_path, row, {"label": "x"})
    assert not (tmp_path / FILE).exists()
    (tmp_path / FILE).write_text('{"row": "a", "colour": 3}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1: not an edit"):
        Patches.load(tmp_path)


def test_undo_takes_the_cleaning_and_the_edits_of_the_parent(tmp_path: Path) -> None:
    first = make(tmp_path)
    record(tmp_path, first)
    add(tmp_path, Row("train.jsonl:1", {"text": "row 0", "label": "x", "n": 0}), {"text": "row zero"})
    second = make(tmp_path)
    record(tmp_path, second)
    assert (head(tmp_path), find_version(tmp_path, "head").parent) == (second.id, first.id)
    back = make(tmp_path, {"version": first.id[:6]})
    assert back.id == first.id
    record(tmp_path, back)
    assert head(tmp_path) == first.id
    assert [version.id for version in versions(tmp_path)] in ([first.id, second.id], [second.id, first.id])
    with pytest.raises(InputError, match="preset would have no effect"):
        make(tmp_path, {"version": first.id, "preset": "none"})
    with pytest.raises(InputError, match='no data version "ffff'):
        make(tmp_path, {"version": "ffff00"})


def test_a_version_on_disk_holds_what_was_kept_and_why_the_rest_was_not(tmp_path: Path) -> None:
    task(tmp_path)
    with (tmp_path / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "ROW 7", "label": "y", "n": 7}\n')
    data = make(tmp_path)
    version = record(tmp_path, data)
    kept = list(version_rows(tmp_path, data.id))
    assert {row.id: row.fields for _, row in kept} == rows_of(data)
    assert [split for split, _ in kept] == ["train"] * len(data.train) + ["dev"] * len(data.dev)
    assert version_ledger(tmp_path, data.id) == data.ledger
    assert version.sources[0].name == "train.jsonl"
    assert len(version.sources[0].sha256) == 64
    assert Clean.model_validate(version.clean) == Clean()
    assert {rule["name"]: rule["fails"] for rule in version.rules}["duplicate"] == 1
