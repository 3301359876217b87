"""A task's own rows, measured for looking: what cleaning decides by, and all that is measured only to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hone.data.judged import judge, open_task
from hone.data.ledger import Entry
from hone.data.measure import OnProgress
from hone.data.rows import Bad
from hone.data.survey import Survey
from hone.data.view import view_of_task
from hone.task.spec import Task


def survey_task(
    task: Task,
    folder: Path,
    cache: Path,
    say: Callable[[str], None],
    *,
    workers: int = 1,
    looking: bool = True,
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
        on_progress: see :data:`hone.data.measure.OnProgress`.

    Raises:
        InputError: with every problem of every source at once.
    """
    opened = open_task(task, folder, say, on_progress)
    loaded, against = opened.loaded, opened.section.against
    prints = None
    if loaded.test is not None or against:
        from hone.data.benchmarks import task_fingerprints

        prints = task_fingerprints(task, against, loaded.test, folder, cache, say)
    judged = judge(
        task, opened, folder, cache, fingerprints=prints, workers=workers, looking=looking, on_progress=on_progress
    )
    return Survey(
        name=task.name,
        view=view_of_task(task),
        plan=judged.plan,
        measured=judged.measured,
        columns=judged.columns,
        decisions=judged.decisions,
        num_rows=judged.columns.num_rows,
        bad=tuple(_bad(entry) for entry in loaded.bad if entry.source != "test"),
        changed=dict(opened.changing.changed),
        test_rows=loaded.test.n if loaded.test is not None else 0,
        test_labels=tuple(loaded.test.labels) if loaded.test is not None else (),
    )


def _bad(entry: Entry) -> Bad:
    """A row left out when reading, as the reader told it: what was expected, and what was found."""
    expected, _, found = entry.reasons[0].evidence.rpartition(", found ")
    return Bad(entry.row, "", expected.removeprefix("expected "), found)
