"""A task's own rows, measured for looking: what cleaning decides by, and all that is measured only to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hone.data import sources
from hone.data.changing import Changing
from hone.data.clean import BY_HAND, text_rows, with_hand
from hone.data.cleaning import Given, plan_of, transforms_of
from hone.data.making import chosen_section
from hone.data.measure import OnProgress, measure
from hone.data.rows import fingerprint
from hone.data.rules import decide
from hone.data.store import TextStore
from hone.data.survey import Survey
from hone.data.table import batches
from hone.data.view import view_of_task
from hone.errors import InputError
from hone.task.render import task_prompt
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
    section, patches = chosen_section(task, folder)
    view = view_of_task(task)
    changing = Changing(transforms=transforms_of(section, task.kind), columns=view.text_columns, patches=patches)
    loaded = sources.load(task, folder, say, changing)
    if problems := [*patches.problems, *patches.missing()]:
        raise InputError(problems)
    prints = None
    if loaded.test is not None or section.against:
        from hone.data.benchmarks import task_fingerprints

        prints = task_fingerprints(task, section.against, loaded.test, folder, cache, say)
    dev_rows = {fingerprint(task_prompt(task, row.fields)): row.id for row in reversed(loaded.dev)}
    given = Given(
        folder=folder,
        test=loaded.test_rows,
        dev=dev_rows,
        fingerprints=prints,
        with_answer=task.kind != "language-model",
    )
    plan = plan_of(section, task.kind, given, looking=looking)
    rows = text_rows(view, (("train", loaded.train), ("dev", loaded.dev)))
    store = TextStore.of(batches(rows), cache / "data")
    measured = measure(store, plan.signals, cache / "data", workers=workers, on_progress=on_progress)
    columns = with_hand(measured.columns, patches)
    plan = replace(plan, rules=(*plan.rules, BY_HAND)) if patches.dropped else plan
    return Survey(
        name=task.name,
        view=view,
        plan=plan,
        measured=measured,
        columns=columns,
        decisions=decide(columns, plan.rules),
        num_rows=store.num_rows,
        changed=dict(changing.changed),
        test_rows=loaded.test.n if loaded.test is not None else 0,
        test_labels=tuple(loaded.test.labels) if loaded.test is not None else (),
    )
