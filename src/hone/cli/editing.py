"""``hone data edit`` and ``drop``: a row corrected or left out by hand, as a record beside ``hone.yaml``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hone.cli.places import task_folder
from hone.errors import InputError
from hone.wording import counted

if TYPE_CHECKING:
    from hone.data.patch_record import Patch
    from hone.data.patches import Patches
    from hone.data.rows import Row
    from hone.task.spec import Task

Say = Callable[[str], None]


def edit(place: Path, words: Sequence[str], why: str, say: Say) -> dict[str, Any]:
    """Record other values of a row's columns; a label that no other row has is recorded with a warning."""
    from hone.data.checking import output_columns
    from hone.data.patches import add

    if len(words) < 2 or not all("=" in word for word in words[1:]):
        raise InputError("edit takes ROW COLUMN=VALUE ..., such as: hone data edit train.jsonl:17 label=refund")
    folder = task_folder(place)
    task, split, row, known = _editable(folder, words[0])
    fields = known.edited(row).row.fields
    changes = {}
    for word in words[1:]:
        name, _, value = word.partition("=")
        changes[name] = _as_before(fields.get(name), value)
    patch = add(folder, row, changes, why=why, known=known)
    document = _said(folder, patch, say)
    relabelled = task.kind == "classify" and not patch.set.keys().isdisjoint(output_columns(task))
    warning = _left_empty(task, split, row, {**fields, **changes})
    if relabelled and not warning:
        warning = _new_label(task, folder, row, {**fields, **changes}, known)
    if warning:
        say(warning)
    return {**document, "warning": warning}


def drop(place: Path, words: Sequence[str], why: str, say: Say) -> dict[str, Any]:
    """Record that a row of train or dev is left out."""
    from hone.data.patches import add

    exactly(words, 1, "drop takes one ROW")
    folder = task_folder(place)
    _, split, row, known = _editable(folder, words[0])
    if split == "ood":
        raise InputError(
            f"row {row.id} is one of ood, which is asked and never trained on: a drop would have no effect; "
            "rows of train and dev can be left out so"
        )
    return _said(folder, add(folder, row, {}, drop=True, why=why, known=known), say)


def exactly(words: Sequence[str], count: int, sentence: str) -> None:
    """Refuse another number of words.

    Raises:
        InputError: with ``sentence``, which says what is expected.
    """
    if len(words) != count:
        raise InputError(f"{sentence}; got {len(words)}: {', '.join(words) or 'none'}")


def _editable(folder: Path, row_id: str) -> tuple[Task, str, Row, Patches]:
    """The task, the split and the row that an edit is about, and the edits that there are.

    Raises:
        InputError: no such row, one of the sealed test, or a ``hone.yaml`` that takes an earlier version again with
            the edits that it had.
    """
    from hone.data.hidden import SEALED, hidden
    from hone.data.lineage import find_row
    from hone.data.patches import Patches
    from hone.data.placing import placed
    from hone.task.load import load_task

    task = load_task(folder)
    if task.clean.version is not None:
        raise InputError(_pinned(folder, task.clean.version))
    split, row = find_row(folder, row_id, task)
    if split == "train" and hidden(task, folder).has(row.id):
        raise InputError(
            f"{row.id} is {SEALED} and which is not edited by hand: the task names no test file, so rows are hashed "
            "out of train for it. Nothing was recorded; correct the source, or name a file in data.test"
        )
    known, _ = placed(Patches.load(folder), task, folder)
    return task, split, row, known


def _left_empty(task: Task, split: str, row: Row, fields: dict[str, Any]) -> str:
    """A warning when a row has no text or no answer any more, so that cleaning drops it; empty otherwise."""
    from dataclasses import replace

    from hone.data.ledger import EMPTY
    from hone.data.view import view_of_task

    laid = view_of_task(task).row(replace(row, fields=fields), "", split)
    parts = {"label": laid.label, "answer": laid.answer, "text": laid.input}
    blank = next((name for name, text in parts.items() if text is not None and not text.strip()), "")
    if not blank or split == "ood" or task.clean.rules.get(EMPTY) is False:
        return ""
    return f"warning: the {blank} is now empty, so cleaning will drop this row (rule {EMPTY})"


def _new_label(task: Task, folder: Path, row: Row, fields: dict[str, Any], known: Patches) -> str:
    """A warning when the label that a row gets is one that no other row has; empty otherwise."""
    from hone.data.checking import output_columns
    from hone.data.placing import rows_as_read
    from hone.data.rows import Row
    from hone.task.render import task_reference

    label, needed = task_reference(task, fields), output_columns(task)
    labels: Counter[str] = Counter()
    for _, other in rows_as_read(task, folder, []):
        if isinstance(other, Row) and other.id != row.id:
            now = known.edited(other).row.fields
            if all(now.get(name) is not None for name in needed):
                labels[task_reference(task, now)] += 1
    if not labels or label in labels:
        return ""
    near = get_close_matches(label, labels, n=1, cutoff=0.0)[0]
    rows_of_it = counted(labels[near], "row")
    return (
        f'warning: no other row of train, dev or ood has the label "{label}"; the nearest of the {len(labels):,} there '
        f'are is "{near}" ({rows_of_it}). It is recorded as given: edit the row again if it was a slip'
    )


def _pinned(folder: Path, name: str) -> str:
    from hone.data.making import undone_edits
    from hone.data.versions import find_version

    version = find_version(folder, name)
    undone = undone_edits(folder, version)
    rows = ", ".join(patch.row for patch in undone[:5]) + (", ..." if len(undone) > 5 else "")
    back = (
        f"; the edits of patches.jsonl that this version was made without ({len(undone):,}: {rows}) would then count "
        "again: remove their lines to leave them behind"
        if undone
        else ""
    )
    return (
        f"hone.yaml takes data version {version.id} again, with the edits that it was made with, so a new edit would "
        f"have no effect and nothing was recorded. To go on from it, write its section in place of clean.version: "
        f"clean: {json.dumps(dict(version.clean), ensure_ascii=False)}{back}"
    )


def _said(folder: Path, patch: Patch, say: Say) -> dict[str, Any]:
    say(f"row {patch.row}: {patch.sentence()}; recorded in patches.jsonl. The next: hone clean {folder}")
    return asdict(patch)


def _as_before(old: Any, text: str) -> Any:
    """A value typed by a person, in the kind that the column has: text stays text, everything else is JSON."""
    if isinstance(old, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        if old is None:
            return text
        raise InputError(f"{text!r} is no JSON, and the column holds a {type(old).__name__}; give JSON") from None
