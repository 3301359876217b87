"""The test of a task that names no test file lies among the rows of train: what may not be shown or edited of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hone.data import sources
from hone.data.changing import Changing
from hone.data.cleaning import transforms_of
from hone.data.held_out import hold_out
from hone.data.judged import left_alone
from hone.data.making import chosen_section
from hone.data.placing import placed
from hone.data.rows import Row, fingerprint
from hone.data.sealed import SealedTest
from hone.data.view import view_of_task
from hone.errors import InputError
from hone.task.render import task_prompt
from hone.task.spec import Task

SEALED = "a row of the sealed test, whose text is not shown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hidden:
    """Rows hashed out of train for the sealed test; ``test`` is None where the task names a test file."""

    task: Task
    test: SealedTest | None

    def has(self, row_id: str) -> bool:
        """Whether a row, as the sources are now, is one of the test."""
        return self.test is not None and row_id in (self.test.only or ())

    def equals(self, row: Row) -> bool:
        """Whether the prompt of a row, as a version keeps it, is one of the test."""
        if self.test is None:
            return False
        try:
            return fingerprint(task_prompt(self.task, row.fields)) in self.test.fingerprints
        except (InputError, TypeError):
            return True  # of other columns than the task has now: it cannot be told, so it is not shown


def hidden(task: Task, folder: Path) -> Hidden:
    """What is hashed out of train for the test, as :func:`hone.data.judged.open_task` does it; bad rows are passed.

    Raises:
        InputError: sources that cannot be read, or too few rows for a test.
    """
    if task.data.test is not None:
        return Hidden(task=task, test=None)
    section, patches = chosen_section(task, folder)
    patches, _ = placed(patches, task, folder)
    changing = Changing(
        transforms=transforms_of(section, task.kind),
        leave=left_alone(task),
        texts=view_of_task(task).text_columns,
        patches=patches,
    )
    lenient = task.model_copy(update={"data": task.data.model_copy(update={"bad_rows": "drop"})})
    loaded = sources.load(lenient, folder, lambda line: None, changing)
    return Hidden(task=task, test=hold_out(lenient, folder, loaded, changing, lambda line: None).test)
