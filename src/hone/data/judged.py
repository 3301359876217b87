"""A task's rows opened, measured and decided on: what preparing, cleaning and looking share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from hone.data import sources
from hone.data.changing import Changing
from hone.data.checking import output_columns
from hone.data.cleaning import Given, Plan, plan_of, transforms_of
from hone.data.clusters import notes
from hone.data.held_out import hold_out
from hone.data.making import chosen_section
from hone.data.measure import Measured, OnProgress, measure
from hone.data.patches import Patches
from hone.data.placing import load_edited
from hone.data.presets import CONVERSATION
from hone.data.rows import Row, fingerprint
from hone.data.rules import Decisions, Rule
from hone.data.sealed import SealedTest
from hone.data.settling import settle
from hone.data.store import TextStore
from hone.data.table import TextRow, batches
from hone.data.task_file import check_section
from hone.data.view import View, view_of_task
from hone.errors import FailedError, InputError
from hone.task.render import task_prompt
from hone.task.spec import Clean, Task

BY_HAND = Rule(
    name="by-hand", column="hand.dropped", absent=True, splits=("train", "dev"), source="an edit in patches.jsonl"
)
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A task's rows, edited and transformed, and what was done to them."""

    section: Clean
    patches: Patches
    changing: Changing
    loaded: sources.Loaded

    @property
    def test(self) -> SealedTest:
        """The sealed test: the task's own, or the one hashed out of train."""
        if self.loaded.test is None:
            raise FailedError("rows were opened without a sealed test")
        return self.loaded.test


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Train rows and then dev rows, measured and decided on.

    ``columns`` are what rules decide by: the measured ones, and ``hand.dropped`` where a person left rows out.
    """

    plan: Plan
    measured: Measured
    columns: pa.Table
    decisions: Decisions


def open_task(
    task: Task, folder: Path, say: Say, on_progress: OnProgress | None = None, *, hides_values: bool = False
) -> Opened:
    """Read a task's rows with their edits and transforms; ``on_progress`` takes bytes of the stage ``reading``.

    With ``hides_values`` no value of a bad row is said or kept.

    Raises:
        InputError: every problem of every source, or every edit that no longer fits.
    """
    section, patches = chosen_section(task, folder)
    check_section(section, task.kind, folder)
    changing = Changing(
        transforms=transforms_of(section, task.kind),
        leave=left_alone(task),
        texts=view_of_task(task).text_columns,
        patches=patches,
        hides_values=hides_values,
    )
    on_bytes = None if on_progress is None else partial(on_progress, "reading")
    loaded, changing = load_edited(task, folder, say, changing, on_bytes)
    patches = changing.patches
    if problems := [*patches.problems, *patches.missing()]:
        raise InputError(problems)
    for line in changing.said():
        say(line)
    if changing.transforms:
        say("transforms: the model learns and is scored on transformed text; transform what you ask it in the same way")
    loaded = hold_out(task, folder, loaded, changing, say)
    if problems := patches.idle(row.id for row in (*loaded.train, *loaded.dev)):
        raise InputError(problems)
    return Opened(section=section, patches=patches, changing=changing, loaded=loaded)


def judge(
    task: Task,
    opened: Opened,
    folder: Path,
    cache: Path,
    *,
    fingerprints: Any = None,
    workers: int = 1,
    looking: bool = False,
    on_progress: OnProgress | None = None,
) -> Judged:
    """Measure train and dev, and decide by the rules of the section.

    Args:
        task: the task.
        opened: its rows.
        folder: where a user's own signals are looked for.
        cache: what is measured is kept under ``data`` in it.
        fingerprints: n-grams of test and benchmark texts, or None where nothing asks for them.
        workers: processes that measure.
        looking: measure also what no rule decides by.
        on_progress: see :func:`hone.data.measure.measure`.

    Raises:
        InputError: a section that names what is not there.
    """
    loaded = opened.loaded
    given = Given(
        folder=folder,
        test=loaded.test_rows,
        dev={fingerprint(task_prompt(task, row.fields)): row.id for row in reversed(loaded.dev)},
        fingerprints=fingerprints,
        with_answer=task.kind != "language-model",
    )
    kind = task.kind if task.conversation is None else CONVERSATION
    plan = plan_of(opened.section, kind, given, looking=looking)
    rows = text_rows(view_of_task(task), (("train", loaded.train), ("dev", loaded.dev)))
    store = TextStore.of(batches(rows), cache / "data")
    measured = measure(store, plan.signals, cache / "data", workers=workers, on_progress=on_progress)
    columns = _with_hand(measured.columns, opened.patches)
    if opened.patches.dropped:
        plan = replace(plan, rules=(*plan.rules, BY_HAND))
    plan = replace(plan, notes=(*plan.notes, *measured.notes, *notes(columns)))
    columns, decisions = settle(columns, plan.rules, plan.signals, store, cache / "data")
    return Judged(plan=plan, measured=measured, columns=columns, decisions=decisions)


def left_alone(task: Task) -> tuple[str, ...]:
    """Columns that transforms leave alone: labels are names, and what a split goes by is compared."""
    labels = output_columns(task) if task.kind == "classify" else []
    return (*labels, *([task.data.split.column] if task.data.split is not None else []))


def text_rows(view: View, splits: Iterable[tuple[str, Iterable[Row]]]) -> Iterable[TextRow]:
    """Rows of some splits as rows of the text table; a row's source is its id without the line number."""
    for split, rows in splits:
        for row in rows:
            yield view.row(row, row.id.rpartition(":")[0], split)


def _with_hand(columns: pa.Table, patches: Patches) -> pa.Table:
    """The columns and ``hand.dropped``: why a person left a row out; null where nobody did."""
    if not patches.dropped:
        return columns
    ids = columns.column("row").to_pylist()
    why = [patches.dropped[row].sentence() if row in patches.dropped else None for row in ids]
    return columns.append_column(BY_HAND.column, pa.array(why, pa.string()))
