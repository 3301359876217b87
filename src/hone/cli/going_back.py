"""Going back to an earlier data version: the ``clean`` section of ``hone.yaml`` names it, and nothing else changes."""

from __future__ import annotations

import re
from pathlib import Path

from hone.cli.places import TASK_FILE
from hone.errors import InputError

_KEY = re.compile(r"^clean\s*:")
_TOP = re.compile(r"^[^\s#]")


def go_back(folder: Path, wanted: str | None) -> str:
    """Let ``hone.yaml`` take the cleaning of an earlier version.

    Args:
        folder: the task folder.
        wanted: a version; None takes the parent of the newest one.

    Returns:
        A line that says what was done.

    Raises:
        InputError: no such version, or one without a parent.
    """
    from hone.data.versions import HEAD, find_version
    from hone.files import atomic_write

    if wanted is None:
        newest = find_version(folder, HEAD)
        if not newest.parent:
            raise InputError(f"data version {newest.id} has no parent to go back to; it is the first of {folder}")
        wanted = newest.parent
    version = find_version(folder, wanted)
    path = folder / TASK_FILE
    before = path.read_text(encoding="utf-8")
    after = with_clean(before, f"clean: {{version: {version.id}}}")
    atomic_write(path, after)
    return f"{path}: the cleaning of data version {version.id} is taken again (clean: {{version: {version.id}}})"


def with_clean(text: str, line: str) -> str:
    """The text of a ``hone.yaml`` with its ``clean`` section replaced by a line, or with that line added."""
    lines = text.splitlines()
    at = next((number for number, one in enumerate(lines) if _KEY.match(one)), None)
    if at is None:
        return text.rstrip("\n") + f"\n{line}\n"
    end = at + 1
    while end < len(lines) and not _TOP.match(lines[end]):
        end += 1
    # Blank lines and comments after the section belong to what follows it.
    while end > at + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return "\n".join([*lines[:at], line, *lines[end:]]) + "\n"
