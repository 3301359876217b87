"""The test of a task that names none: rows hashed out of train as they are read, before anything looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hone.data.changing import Changing
from hone.data.rows import Row, canonical, fingerprint
from hone.data.sources import Loaded, Summary
from hone.data.split import choose
from hone.data.split_by import group_of, grouped_keys, how, places
from hone.task.render import task_prompt, task_reference
from hone.task.spec import Task
from hone.wording import counted

TEST_SHARE = 0.1


def hold_out(task: Task, folder: Path, loaded: Loaded, changing: Changing, say: Callable[[str], None]) -> Loaded:
    """The rows without those that become the sealed test, where the task names no test file.

    Of rows that fold alike the first of each answer is taken. The others stay in train, equal a test row, and leave by
    that rule; rows without text or answer stay for the rule on empty ones. What counts is a row as it was read: edits
    by hand choose no row of the test.

    Raises:
        InputError: when there are too few rows for a test.
    """
    if loaded.test is not None:
        return loaded
    full = [row for row in _as_read(loaded.train, changing) if _has_content(task, row)]
    by = task.data.split
    own = [fingerprint(task_prompt(task, row.fields)) for row in full]
    keys = grouped_keys(full, own, by)
    labels = [task_reference(task, row.fields) for row in full] if task.kind == "classify" else []
    chosen = choose(keys, TEST_SHARE, "test", labels, places(full, keys, by), group_of(by))
    test, only = Summary(task), set[str]()
    seen: set[tuple[str, str]] = set()
    for row, key, mine in zip(full, keys, own, strict=True):
        same = (mine, "" if task.kind == "language-model" else canonical(task_reference(task, row.fields)))
        if key in chosen and same not in seen:
            seen.add(same)
            only.add(row.id)
            test.add(row, mine)
    share = test.n / len(loaded.train)
    taken = f"{counted(test.n, 'row')} ({share:.1%}) {'is' if test.n == 1 else 'are'} {how(by, keys, chosen)}"
    say(f"test: the task names no test file, so {taken} out of train and sealed")
    return replace(
        loaded,
        train=tuple(row for row in loaded.train if row.id not in only),
        test=test.seal(task.data.train, folder, loaded.prefixes["train"], changing, frozenset(only)),
        test_rows=test.rows,
        test_counts=test.counts,
    )


def _as_read(rows: Iterable[Row], changing: Changing) -> Iterator[Row]:
    unedited = changing.unedited()
    for row in rows:
        was: dict[str, Any] = {}
        for patch in reversed(changing.patches.of(row.id)):
            was |= patch.was
        yield unedited.of(Row(row.id, {**row.fields, **was})) if was else row


def _has_content(task: Task, row: Row) -> bool:
    prompt = task_prompt(task, row.fields)
    if not prompt.strip():
        return False
    return task.kind == "extract" or bool(str(task_reference(task, row.fields)).strip())
