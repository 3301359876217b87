"""What ``hone train`` refuses before data is read, tokens are made or torch is imported: all that is wrong, at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.errors import InputError

if TYPE_CHECKING:
    from hone.data.prepare import DataVersion
    from hone.task.recipe import Recipe
    from hone.task.spec import Task


def refuse(
    folder: Path,
    parent: str | None,
    changes: Mapping[str, Any],
    problems: Sequence[str],
    wish: Callable[[Recipe], object],
) -> None:
    """Refuse changes of a recipe that cannot be carried out, together with the problems that are known already.

    Args:
        folder: the task folder.
        parent: the run whose recipe is changed; without it the default one is.
        changes: values by key.
        problems: what is known to be wrong.
        wish: takes the recipe, and refuses what does not go with it.

    Raises:
        InputError: with all of them, those of the task's file too.
    """
    from hone.attempts.checking import changed
    from hone.data.task_file import load_task
    from hone.task.recipe import Recipe

    found, start = list(problems), Recipe()
    try:
        task = load_task(folder)
        start = start_of(folder, task, None, parent, changes)
        changed(start, changes, task)
    except InputError as error:
        found += error.problems
    # Where there was nothing to start from, keys and values are looked at by themselves.
    recipe, wrong = start.tried(changes)
    found += wrong
    try:
        wish(recipe)
    except InputError as error:
        found += error.problems
    if found:
        raise InputError(dict.fromkeys(found))


def start_of(
    folder: Path, task: Task, data: DataVersion | None, parent: str | None, changes: Mapping[str, Any]
) -> Recipe:
    """The recipe that changes are made to; without data as far as it is known before that is read."""
    from hone.hardware import threads_to_use
    from hone.lab.lab import Lab
    from hone.solving.defaults import default_recipe
    from hone.task.recipe import Recipe

    if parent is not None:
        return Recipe.model_validate(Lab(folder, say=lambda line: None).run(parent).recipe)
    base = changes.get("base")
    return default_recipe(task, data, seed=0, threads=threads_to_use(), base=base if isinstance(base, str) else None)
