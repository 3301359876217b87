"""Splits by group and time: groups and folded duplicates stay whole, the newest rows leave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hone.data.prepare import DataVersion, prepare
from hone.data.rows import fold
from hone.errors import InputError
from hone.task.spec import Task


def unheard(line: str) -> None:
    """Nobody listens."""


def make(folder: Path, rows: list[dict[str, Any]], say: Callable[[str], None] = unheard, **data: Any) -> DataVersion:
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    spec = {"task": "t", "kind": "classify", "input": "{text}", "output": "{label}", "target": 0.5}
    task = Task.model_validate({**spec, "data": {"train": "train.jsonl", **data}, "clean": {"preset": "none"}})
    return prepare(task, folder, folder / "cache", say)


def rows(count: int) -> list[dict[str, Any]]:
    # Each user writes five rows, and each tenth row repeats another user's text in capitals.
    texts = [f"message {n}" if n % 10 else f"MESSAGE {max(1, n - 9)}!" for n in range(count)]
    return [{"text": text, "label": "x", "user": f"u{n // 5}", "at": n} for n, text in enumerate(texts)]


def test_a_group_is_in_one_split_and_so_are_rows_that_fold_alike(tmp_path: Path) -> None:
    data = make(tmp_path, rows(400), dev=0.2, split={"by": "group", "column": "user"})
    test = data.test.read(lambda reason: None, "a test")
    splits = {"train": data.train, "dev": data.dev, "test": test}
    assert all(splits.values())
    for part in ("user", "text"):
        where: dict[str, set[str]] = {}
        for split, members in splits.items():
            for row in members:
                where.setdefault(fold(str(row.fields[part])), set()).add(split)
        assert max(map(len, where.values())) == 1


@pytest.mark.parametrize(("groups", "test_groups"), [(2, 1), (3, 1), (10, 1), (40, 4)])
def test_of_few_groups_as_many_leave_as_bring_the_share_nearest(groups: int, test_groups: int, tmp_path: Path) -> None:
    rows = [{"text": f"message {n}", "label": "x", "user": f"u{n % groups}"} for n in range(400)]
    (tmp_path / "dev.jsonl").write_text('{"text": "dev", "label": "x", "user": "d"}\n')
    said: list[str] = []
    data = make(tmp_path, rows, said.append, dev="dev.jsonl", split={"by": "group", "column": "user"})
    test = data.test.read(lambda reason: None, "a test")
    assert len({row.fields["user"] for row in test}) == test_groups
    assert len(test) == 400 * test_groups // groups
    assert any(f"hashed by user, {test_groups} of {groups} groups, out of train" in line for line in said)


def test_one_group_alone_cannot_be_split_and_the_message_counts_groups(tmp_path: Path) -> None:
    rows = [{"text": f"message {n}", "label": "x", "user": "u"} for n in range(40)]
    with pytest.raises(InputError, match=r"data\.test: 40 rows are in 1 group by user .*split by another column"):
        make(tmp_path, rows, dev=0.2, split={"by": "group", "column": "user"})


def test_times_written_as_text_are_numbers(tmp_path: Path) -> None:
    # 9 and 100 seconds: as words, 9 would be the newer one.
    plain = [{"text": f"message {n}", "label": "x", "at": str(n)} for n in range(9, 209)]
    data = make(tmp_path, plain, dev=0.1, split={"by": "time", "column": "at"})
    test = {float(row.fields["at"]) for row in data.test.read(lambda reason: None, "a test")}
    assert test == set(range(189, 209))
    mixed = [*plain, {"text": "one more", "label": "x", "at": "2026-01-02"}]
    with pytest.raises(InputError, match="200 numbers and 1 ISO 8601 times, which do not compare"):
        make(tmp_path, mixed, dev=0.1, split={"by": "time", "column": "at"})


def test_by_time_the_newest_rows_are_the_test_and_the_next_are_dev(tmp_path: Path) -> None:
    plain = [
        {"text": f"message {n}", "label": "x", "at": f"2026-01-{1 + n // 24:02d}T{n % 24:02d}:00:00Z"}
        for n in range(200)
    ]
    data = make(tmp_path, plain[::-1], dev=0.1, split={"by": "time", "column": "at"})
    test = [row.fields["at"] for row in data.test.read(lambda reason: None, "a test")]
    dev, train = [row.fields["at"] for row in data.dev], [row.fields["at"] for row in data.train]
    assert (len(test), len(dev), len(train)) == (20, 18, 162)
    assert max(train) < min(dev) <= max(dev) < min(test)


def test_a_column_that_is_missing_or_holds_no_times_is_an_error_with_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'40 of 40 rows have no "usr", first train.jsonl:1.*did you mean "user"'):
        make(tmp_path, rows(40), dev=0.2, split={"by": "group", "column": "usr"})
    with pytest.raises(InputError, match=r'"user" has to be a number or an ISO 8601 time.*train.jsonl:1 has str'):
        make(tmp_path, rows(40), dev=0.2, split={"by": "time", "column": "user"})


def test_a_split_that_cannot_act_is_refused(tmp_path: Path) -> None:
    for name in ("dev", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "a", "label": "x"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="there is nothing to split"):
        make(tmp_path, rows(20), dev="dev.jsonl", test="test.jsonl", split={"by": "time", "column": "at"})
