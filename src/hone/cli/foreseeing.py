"""What comes of a new task: its rows are prepared once before its file is written, and whether solving can end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hone.deploy.runtime import check_can_be_exported
from hone.errors import InputError
from hone.task.spec import Task
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.prepare import DataVersion


def foresee(task: Task, sources: Mapping[str, Path], folder: Path) -> tuple[DataVersion | None, list[str]]:
    """The data version that a task will have, or why it will have none. Nothing is written to its folder.

    Args:
        task: as it will be written.
        sources: where its splits lie now, by the key of the ``data`` section.
        folder: the task folder, which need not be there yet.
    """
    from hone.data.prepare import check_answers, prepare

    there = {split: str(path.absolute()) for split, path in sources.items()}
    task = task.model_copy(update={"data": task.data.model_copy(update=there)})
    with TemporaryDirectory(prefix="hone-init-") as cache:
        try:
            version = prepare(task, folder, Path(cache), lambda line: None)
            check_answers(task, version)
        except InputError as error:
            return None, list(error.problems)
    return version, []


def verb_for(task: Task) -> str:
    """``solve`` where an artifact comes of the task, in which solving ends; else ``train``."""
    try:
        check_can_be_exported(task)
    except InputError:
        return "train"
    return "solve"


def leaving(version: DataVersion) -> str:
    """How many rows leave by which rule, the most first; empty where none does."""
    counts = sorted(version.ledger.counts().items(), key=lambda item: -item[1])
    rules = ", ".join(f"{name} {count:,}" for name, count in counts)
    entries = len(version.ledger.entries)
    verb = "leaves" if entries == 1 else "leave"
    return f"{entries:,} of {counted(sum(version.ledger.read.values()), 'row')} {verb}: {rules}" if entries else ""
