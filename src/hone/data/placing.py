"""Where edits belong now: an edit follows its row when lines were inserted above it, and never hits another row.

An edit has the hash of its row as it was read. While the row under its id has that hash nothing is looked for. Else
the sources are read once more, a row at a time, for the rows that have it; of them one has to be left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from hone.data import sources
from hone.data.changing import Changing
from hone.data.checking import input_columns, output_columns
from hone.data.formats import converted
from hone.data.patch_record import FILE, Patch
from hone.data.patches import Fit, Patches, content_over
from hone.data.read import Found, find, read
from hone.data.rows import Bad, Row
from hone.errors import InputError
from hone.task.spec import Task
from hone.wording import counted

SHOWN = 3
Say = Callable[[str], None]


def rows_as_read(task: Task, folder: Path, problems: list[str]) -> Iterator[tuple[str, Row | Bad]]:
    """Rows of train, dev and ood with their split: schemas converted, edits and transforms not applied.

    What cannot be read is one sentence each in ``problems``. Rows of a test file are not read.
    """
    found: dict[str, Found] = {}
    for split in sources.SPLITS:
        source = getattr(task.data, split)
        if isinstance(source, str):
            try:
                found[split] = find(source, folder)
            except InputError as error:
                problems += [f"data.{split}: {problem}" for problem in error.problems]
    prefixes = sources.prefixes_of(found)
    wanted = (*input_columns(task), *output_columns(task))
    for split in found:
        if split == "test":
            continue
        try:
            rows = read(getattr(task.data, split), folder, prefixes[split])
            for row in converted(rows, lambda line: None, wanted=wanted):
                yield split, row
        except InputError as error:
            problems += [f"data.{split}: {problem}" for problem in error.problems]


def load_edited(
    task: Task, folder: Path, say: Say, changing: Changing, on_bytes: Callable[[int, int], None] | None = None
) -> tuple[sources.Loaded, Changing]:
    """Read a task's rows with every edit on the row that it was made for; and the changing with edits placed so.

    Raises:
        InputError: every problem of every source; every edit whose row is not there any more, or several times.
    """
    patches = changing.patches
    if unchecked := [patch.row for patch in patches.all if not patch.seen]:
        say(
            f"{FILE}: {counted(len(unchecked), 'edit was', 'edits were')} recorded without a hash of the row, so "
            f"whether the id still stands for that row can't be checked: {', '.join(unchecked[:SHOWN])}"
            f"{', ...' if len(unchecked) > SHOWN else ''}"
        )
    # What is read a second time is said once.
    held: list[str] = []
    failed: InputError | None = None
    loaded: sources.Loaded | None = None
    try:
        loaded = sources.load(task, folder, held.append if patches.all else say, changing, on_bytes)
    except InputError as error:
        failed = error
    now, refused = placed(patches, task, folder) if patches.is_astray else (patches, [])
    if refused:
        raise InputError([*refused, *(failed.problems if failed is not None else ())])
    if moved := now.moved:
        shown = ", ".join(f"{old} is now {new}" for old, new in moved[:SHOWN]) + (", ..." if len(moved) > SHOWN else "")
        have = counted(len(moved), "edited row has moved and is", "edited rows have moved and are")
        say(f"{FILE}: {have} found by content: {shown}")
        changing = replace(changing, patches=now, changed=Counter())
        loaded = failed = None  # all rows are held once, and not twice while they are read again
        return sources.load(task, folder, say, changing, on_bytes), changing
    for line in held:
        say(line)
    if failed is not None or loaded is None:
        raise failed or InputError(f"{folder}: nothing could be read")
    return loaded, changing


def placed(patches: Patches, task: Task, folder: Path) -> tuple[Patches, list[str]]:
    """The edits by the ids that their rows have now, and a sentence for each whose row cannot be told.

    One pass over train, dev and ood, unless no edit has a hash. Where a source cannot be read, edits stay.
    """
    if not any(patch.seen for patch in patches.all):
        return patches, []
    wanted: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for patch in patches.all:
        if patch.seen:
            wanted.setdefault(tuple(patch.over), {})[patch.seen] = []
    own, there = Patches(patches.all), dict[str, Row]()
    problems: list[str] = []
    for _, row in rows_as_read(task, folder, problems):
        if isinstance(row, Row):
            if own.of(row.id):
                there[row.id] = row
            for over, by_content in wanted.items():
                if (ids := by_content.get(content_over(row.fields, over))) is not None:
                    ids.append(row.id)
    if problems:
        return patches, []
    fits = {id(patch): fit for row in there.values() for patch, fit in own.fits(row)}
    places = [
        _place(patch, fits.get(id(patch)), wanted[tuple(patch.over)][patch.seen] if patch.seen else [])
        for patch in patches.all
    ]
    claimed = _claimed_twice(patches.all, places)
    refused = []
    for number, patch in enumerate(patches.all):
        if places[number] is None or number in claimed:
            places[number] = None
            refused.append(_refusal(patch, there.get(patch.row), wanted[tuple(patch.over)][patch.seen]))
    return Patches(patches.all, patches.version, [place or "" for place in places]), refused


def _claimed_twice(patches: Sequence[Patch], places: Sequence[str | None]) -> set[int]:
    """Edits that have moved to a row which the edits of another row, of equal content then, stand for too."""
    roots: list[tuple[str, str]] = []
    last: dict[str, tuple[str, str]] = {}
    for patch in patches:
        roots.append(last.get(patch.after, (patch.row, patch.seen)))
        last[patch.digest] = roots[-1]
    claims: dict[tuple[str | None, str], set[tuple[str, str]]] = {}
    for patch, place, root in zip(patches, places, roots, strict=True):
        claims.setdefault((place, patch.seen), set()).add(root)
    return {
        number
        for number, (patch, place) in enumerate(zip(patches, places, strict=True))
        if place != patch.row and len(claims[place, patch.seen]) > 1
    }


def _place(patch: Patch, fit: Fit | None, rows: Sequence[str]) -> str | None:
    """The id of the row of an edit; None where it cannot be told. An id that no source has is said elsewhere."""
    if not patch.seen or fit == "same":
        return patch.row
    if rows:
        return rows[0] if len(rows) == 1 else None
    return None if fit == "other" else patch.row


def _refusal(patch: Patch, there: Row | None, rows: Sequence[str]) -> str:
    what = "leaves it out" if patch.drop else f"sets {', '.join(patch.set)}"
    now = "that id is gone" if there is None else f"the row there now has {content_over(there.fields, patch.over)}"
    lacking = [name for name in patch.over if there is not None and name not in there.fields]
    if lacking:
        now = f"the row there now lacks the column {', '.join(lacking)}"
    named = ", ".join(rows[:SHOWN]) + (", ..." if len(rows) > SHOWN else "")
    others = f"{len(rows):,} rows have it ({named})" if rows else "no other row of train, dev or ood has it"
    if len(rows) == 1:
        others = f"the one row that has it ({named}) may be another that was edited too"
    return (
        f"{FILE}: the edit of row {patch.row} of {patch.at} ({what}) was made on content {patch.seen} (columns "
        f"{', '.join(patch.over)}); {now}, and {others}. Put the row back, or remove the line with this "
        '"seen" and edit the row that it was meant for again'
    )
