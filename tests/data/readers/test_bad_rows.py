"""``data.bad_rows``: an error that names all of them, or rows that leave for the ledger and are counted (law 5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hone.data.checking import BadRows
from hone.data.ledger import BAD
from hone.data.prepare import prepare
from hone.data.rows import Bad
from hone.errors import InputError
from hone.task.load import parse_task

TASK = """
name: moods
kind: classify
data: {{train: train.jsonl, dev: dev.csv, test: test.jsonl{rest}}}
input: "{{text}}"
output: "{{label}}"
target: 0.9
base: scratch
"""
GOOD = ['{{"text": "{0} fine day {1}", "label": "good"}}', '{{"text": "{0} awful day {1}", "label": "bad"}}']
BROKEN = [
    '{"text": "cut',
    '{"text": "a", "text": "b", "label": "good"}',
    '{"txt": "x"}',
    '{"text": null, "label": "good"}',
]


def write(folder: Path) -> None:
    good = {split: [line.format(split, n) for n in range(10) for line in GOOD] for split in ("train", "test")}
    (folder / "train.jsonl").write_text("\n".join([*good["train"], *BROKEN]) + "\n")
    (folder / "test.jsonl").write_text("\n".join([BROKEN[0], *good["test"], BROKEN[3]]) + "\n")
    (folder / "dev.csv").write_text("text,label\ndev fine night,good\ndev awful night,bad\nthree,cells,here\n")


def prepared(folder: Path, rest: str) -> tuple[Any, list[str]]:
    said: list[str] = []
    return prepare(parse_task(TASK.format(rest=rest)), folder, folder / "cache", said.append), said


def test_by_default_every_bad_row_of_every_split_is_named_and_nothing_is_prepared(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(InputError) as caught:
        prepared(tmp_path, "")
    text = str(caught.value)
    for place in ("train.jsonl:21", "train.jsonl:22", "train.jsonl:23", "train.jsonl:24", "dev.csv:4", "test.jsonl:1"):
        assert place in text


def test_dropped_bad_rows_are_in_the_ledger_with_what_is_wrong_and_the_books_add_up(tmp_path: Path) -> None:
    write(tmp_path)
    version, said = prepared(tmp_path, ", bad_rows: drop")
    bad = [entry for entry in version.ledger.entries if any(reason.name == BAD for reason in entry.reasons)]
    expected = [f"train.jsonl:{n}" for n in (21, 22, 23, 24)] + ["dev.csv:4", "test.jsonl:1", "test.jsonl:22"]
    assert sorted(entry.row for entry in bad) == sorted(expected)
    evidence = {entry.row: [reason.evidence for reason in entry.reasons] for entry in bad}
    assert evidence["train.jsonl:22"] == ['expected a JSON object, found the key "text" 2 times in one object']
    # Both columns that the task names are missing, and both are told.
    assert len(evidence["train.jsonl:23"]) == 2
    assert evidence["train.jsonl:24"] == ['field "text": expected text, found null']
    ledger = version.ledger
    assert sum(ledger.read.values()) == sum(ledger.kept.values()) + len(ledger.entries) == 24 + 3 + 22
    assert any("train: 4 bad rows left out" in line and "train.jsonl:21" in line for line in said)
    # The sealed test gives back the rows that were counted, and no bad one.
    rows = version.test.read(lambda reason: None, "a test")
    assert [row.id for row in rows] == [f"test.jsonl:{n}" for n in range(2, 22)]


def test_splits_may_be_parts_of_one_file_and_never_the_same_part(tmp_path: Path) -> None:
    rows = {
        split: [{"text": f"{split} {label} {n}", "label": label} for n in range(8) for label in ("good", "bad")]
        for split in ("train", "dev", "test")
    }
    (tmp_path / "all.json").write_text(json.dumps(rows))
    task = TASK.replace("train.jsonl", "all.json:train").replace("dev.csv", "all.json:dev")
    version = prepare(
        parse_task(task.replace("test.jsonl", "all.json:test").format(rest="")), tmp_path, tmp_path, print
    )
    assert (len(version.train), len(version.dev), version.test.n) == (16, 16, 16)
    assert version.dev[0].id == "dev/all.json:1"
    with pytest.raises(InputError, match=r"all\.json:dev is also read as data\.dev"):
        prepare(parse_task(task.replace("test.jsonl", "all.json:dev").format(rest="")), tmp_path, tmp_path, print)


def test_a_source_of_bad_rows_alone_is_an_error_also_when_they_are_dropped(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train.jsonl").write_text("\n".join(BROKEN))
    with pytest.raises(InputError, match="holds no rows that can be used"):
        prepared(tmp_path, ", bad_rows: drop")


def test_of_many_bad_rows_three_of_each_kind_are_kept() -> None:
    bad = BadRows()
    for n in range(100_000):
        bad.add(Bad(f"a:{n}", "", "an object", f"{n}"))
    assert len(bad) == 100_000
    (sentence,) = bad.problems("a", 200_000)
    assert (
        sentence
        == "a: 100,000 bad rows of 200,000: expected an object; a:0 has 0; a:1 has 1; a:2 has 2; and 99,997 more"
    )
