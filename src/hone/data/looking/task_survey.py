"""A task's own rows, measured for looking: what cleaning decides by, and all that is measured only to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from hone.data.cleaning import Plan
from hone.data.judged import Judged, judge, open_task
from hone.data.ledger import Entry
from hone.data.limits import LIMIT, over_limit
from hone.data.measure import OnProgress
from hone.data.rows import Bad
from hone.data.rules import Decisions, Rule
from hone.data.survey import Survey
from hone.data.view import view_of_task
from hone.task.spec import Task

OVER_LIMIT = Rule(
    name=LIMIT,
    column="limit.over",
    absent=True,
    source="rows at most of a source; which ones stay goes by the hash of their ids",
)


def survey_task(
    task: Task,
    folder: Path,
    cache: Path,
    say: Callable[[str], None],
    *,
    workers: int = 1,
    looking: bool = True,
    sensitive: bool = False,
    on_progress: OnProgress | None = None,
) -> Survey:
    """Survey the training and dev rows of a task, before they are split and as ``hone.yaml`` has them cleaned.

    The test is read as fingerprints and labels alone.

    Args:
        task: the task.
        folder: its folder.
        cache: folder for texts and measurements, shared with cleaning.
        say: takes each line on what was read.
        workers: processes that measure.
        looking: measure also what no rule decides by.
        sensitive: say and keep no value of a bad row.
        on_progress: see :data:`hone.data.measure.OnProgress`.

    Raises:
        InputError: with every problem of every source at once.
    """
    opened = open_task(task, folder, say, on_progress, hides_values=sensitive)
    loaded, against = opened.loaded, opened.section.against
    prints = None
    if loaded.test is not None or against:
        from hone.data.benchmarks import task_fingerprints

        prints = task_fingerprints(task, against, loaded.test, folder, cache, say)
    judged = judge(
        task, opened, folder, cache, fingerprints=prints, workers=workers, looking=looking, on_progress=on_progress
    )
    plan, columns, decisions = limited(judged, opened.section.limits)
    return Survey(
        name=task.name,
        view=view_of_task(task),
        plan=plan,
        measured=judged.measured,
        columns=columns,
        decisions=decisions,
        num_rows=columns.num_rows,
        bad=tuple(_bad(entry) for entry in loaded.bad if entry.source != "test"),
        changed=dict(opened.changing.changed),
        test_rows=loaded.test.n if loaded.test is not None else 0,
        test_labels=tuple(loaded.test.labels) if loaded.test is not None else (),
    )


def limited(judged: Judged, limits: Mapping[str, int]) -> tuple[Plan, pa.Table, Decisions]:
    """Plan, columns and decisions with the limits of sources as a rule that comes last."""
    over = over_limit(judged.columns, judged.decisions.keep, limits)
    if not limits:
        return judged.plan, judged.columns, judged.decisions
    why = [over[at].evidence if at in over else None for at in range(judged.columns.num_rows)]
    mask = np.asarray([one is not None for one in why], bool)
    decisions = Decisions(keep=judged.decisions.keep & ~mask, failed={**judged.decisions.failed, LIMIT: mask})
    columns = judged.columns.append_column(OVER_LIMIT.column, pa.array(why, pa.string()))
    return replace(judged.plan, rules=(*judged.plan.rules, OVER_LIMIT)), columns, decisions


def _bad(entry: Entry) -> Bad:
    """A row left out when reading, as the reader told it: what was expected, and what was found."""
    expected, _, found = entry.reasons[0].evidence.rpartition(", found ")
    return Bad(entry.row, "", expected.removeprefix("expected "), found)
