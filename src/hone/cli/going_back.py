"""Going back to an earlier data version: the ``clean`` section of ``hone.yaml`` names it, and nothing else changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli.places import TASK_FILE
from hone.errors import FailedError, InputError

if TYPE_CHECKING:
    from hone.data.version_record import Version
    from hone.task.spec import Task

KEY = "clean"


@dataclass(frozen=True, kw_only=True, slots=True)
class GoingBack:
    """What going back would do: the task as it would be, the new text of its file, and lines that say so."""

    task: Task
    path: Path
    text: str
    said: tuple[str, ...]

    def write(self) -> None:
        """Let ``hone.yaml`` say it."""
        from hone.files import atomic_write

        atomic_write(self.path, self.text.encode("utf-8"))


def going_back(folder: Path, wanted: str | None) -> GoingBack:
    """See what taking the cleaning of an earlier version again would do. Nothing is written.

    Args:
        folder: the task folder.
        wanted: a version; None takes the nearest one before the present one that has another cleaning.

    Raises:
        InputError: no such version, none before the present one, or a ``hone.yaml`` that has to be changed by hand.
    """
    from hone.data.versions import find_version
    from hone.task.load import load_task
    from hone.task.spec import Clean

    task, path = load_task(folder), folder / TASK_FILE
    version = _before(folder, task) if wanted is None else find_version(folder, wanted)
    before = path.read_bytes().decode("utf-8")
    kept = not _is_recorded(folder, task)
    line = f"{KEY}: {{version: {json.dumps(version.id)}}}"
    said = [f"{path}: the cleaning and edits of data version {version.id} are taken again ({line})"]
    if kept:
        said.append(f"{path}: no data version has the {KEY} section that stood there; it is kept above as a comment")
    return GoingBack(
        task=task.model_copy(update={KEY: Clean(version=version.id)}),
        path=path,
        text=with_clean(before, version.id, f"the section before data version {version.id}" if kept else ""),
        said=tuple(said),
    )


def _before(folder: Path, task: Task) -> Version:
    """The nearest earlier version with other cleaning or edits: to take back what has not changed does nothing."""
    from hone.data.versions import HEAD, before_head, find_version, head, versions

    pinned = task.clean.version
    newest = head(folder)
    start = None
    try:
        start = find_version(folder, pinned or HEAD)
    except FailedError:
        # Of a head that cannot be read it is known what was before it.
        if pinned or not newest:
            raise
    before = start.parent if pinned and start is not None else before_head(folder)
    seen = {newest if start is None else start.id}
    while before and before not in seen:
        try:
            version = find_version(folder, before)
        except FailedError as error:
            known = ", ".join(one.id for one in versions(folder)) or "none"
            raise FailedError(f"{error}. --to VERSION takes the cleaning of one that can be read: {known}") from None
        if start is None or (version.clean, version.patches["digest"]) != (start.clean, start.patches["digest"]):
            return version
        seen.add(before)
        before = version.parent
    name = newest if start is None else start.id
    if len(seen) == 1:
        raise InputError(f"data version {name} has no parent to go back to; it is the first of {folder}")
    raise InputError(
        f"data version {name} has the cleaning and edits of all {len(seen) - 1} before it: the sources have "
        "changed, and going back does not change them; --to VERSION takes the cleaning of any version"
    )


def _is_recorded(folder: Path, task: Task) -> bool:
    """Whether a data version has the cleaning that ``hone.yaml`` says, so that replacing it loses nothing."""
    from hone.data.versions import versions

    section = task.clean.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return task.clean.version is not None or any(dict(version.clean) == section for version in versions(folder))


def with_clean(text: str, version: str, keep: str = "") -> str:
    """The text of a ``hone.yaml`` whose ``clean`` section names a version.

    Args:
        text: of the file.
        version: id of the version.
        keep: a heading, under which the section that was there stays as a comment; empty leaves it out.

    Raises:
        InputError: when the file has no plain ``clean`` section to replace; with what to write by hand.
    """
    import yaml

    end_of_line = "\r\n" if "\r\n" in text else "\n"
    line = f"{KEY}: {{version: {json.dumps(version)}}}"
    span = _span(text)
    if span is None:
        after = text + ("" if text.endswith("\n") else end_of_line) + line + end_of_line
    else:
        start, end = span
        # By splitlines: YAML ends a line, and so a comment, at U+0085 and U+2028 too.
        old = text[start:end].rstrip("\r\n").splitlines() if keep else []
        above = "".join(f"# {one}".rstrip() + end_of_line for one in [f"{keep}:", *old] if old)
        after = text[:start] + above + line + end_of_line + text[end:]
    wanted = {**yaml.safe_load(text), KEY: {"version": version}}
    try:
        found = yaml.safe_load(after)
    except yaml.YAMLError:
        found = None
    if found != wanted:
        raise InputError(f"{TASK_FILE} cannot be changed without touching other keys; write this into it: {line}")
    return after


def _span(text: str) -> tuple[int, int] | None:
    """Where the section begins and the line behind it; None where there is none.

    Blank lines and comments that follow it belong to what comes after.
    """
    import yaml

    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = next(((key, value) for key, value in pairs if key.value == KEY), None)
    if found is None:
        return None
    start, end = found[0].start_mark.index, max(found[0].end_mark.index, found[1].end_mark.index)
    lines = text[start:end].splitlines(keepends=True)
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].startswith("#")):
        end -= len(lines.pop())
    if not text[:end].endswith("\n"):
        rest = text.find("\n", end)
        end = len(text) if rest < 0 else rest + 1
    return start, end
