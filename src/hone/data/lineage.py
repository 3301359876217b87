"""Everything that happened to one row: read, edited, transformed, measured, decided, split, trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hone.data.aligning import align
from hone.data.changing import Changing
from hone.data.cleaning import transforms_of
from hone.data.diffing import contents_by_row
from hone.data.hidden import SEALED, hidden
from hone.data.judged import left_alone
from hone.data.making import chosen_section
from hone.data.patches import Patches
from hone.data.placing import placed, rows_as_read
from hone.data.read import find
from hone.data.rows import Row, canonical, fingerprint
from hone.data.sources import SPLITS, prefixes_of
from hone.data.transforms.base import Transform
from hone.data.version_record import Version
from hone.data.versions import row_digest, stored_columns, survey_versions, version_ledger, version_rows
from hone.data.view import view_of_task
from hone.data.wording import shortened
from hone.errors import FailedError, InputError
from hone.files import file_hash
from hone.task.spec import Task
from hone.wording import counted

SHOWN_CHARS = 300
EXAMPLES = 3
"""Ids that are named where one is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened: ``step`` (source, edit, transform, version), a sentence, and values for machines."""

    step: str
    sentence: str
    values: Mapping[str, Any]


def lineage(folder: Path, row_id: str, task: Task | None) -> list[Event]:
    """Tell the story of a row, oldest first.

    Args:
        folder: the task folder, or the folder of cleaned files.
        row_id: as reports and ledgers show it.
        task: the folder's task, to read its source again; None tells the versions alone.

    Raises:
        InputError: when neither a source nor a version knows the row, with the sources that could not be read. Rows of
            a test file are not looked up; of those hashed out of train no text is shown.
    """
    events, problems = ([], []) if task is None else _source_events(folder, row_id, task)
    found, unreadable = survey_versions(folder)
    places = _places(folder, row_id, found, task)
    told = [event for version in found for event in _version_events(folder, places[version.id], version)]
    told += [Event(step="version", sentence=problem, values={}) for problem in unreadable]
    if not events and not any(event.values for event in told):
        nowhere = f"{folder}: no source and no data version has a row {row_id}; {_known_rows(folder, row_id, found)}"
        raise InputError([nowhere, *problems, *unreadable])
    unread = [Event(step="source", sentence=f"could not be read: {problem}", values={}) for problem in problems]
    return [*(events or unread), *told]


def _known_rows(folder: Path, row_id: str, found: Sequence[Version]) -> str:
    """The nearest row of the newest version; or a few of its ids, and how many there are."""
    ids: list[str] = []
    with contextlib.suppress(FailedError):  # a version that cannot be read is said beside this
        ids = [row for version in found[-1:] for (row,) in stored_columns(folder, version.id, ("row",))]
    if not ids:
        return "ids are FILE:LINE, such as train.jsonl:1"
    close = _nearest_row(row_id, ids)
    first = f'did you mean "{close}"? ' if close else ""
    examples = ", ".join(ids[:: max(1, len(ids) // EXAMPLES)][:EXAMPLES])
    return f"{first}Data version {found[-1].id} has {counted(len(ids), 'row')}, such as {examples}"


def _nearest_row(row_id: str, ids: Sequence[str]) -> str:
    """The row of the source with the nearest name whose line is nearest; empty where no name is near."""
    source, _, line = row_id.rpartition(":")
    lines: dict[str, list[int]] = {}
    for row in ids:
        name, _, number = row.rpartition(":")
        if number.isdigit():
            lines.setdefault(name, []).append(int(number))
    close = get_close_matches(source, lines, n=1, cutoff=0.5)
    if not close or not line.isdigit():
        return ""
    return f"{close[0]}:{min(lines[close[0]], key=lambda number: abs(number - int(line)))}"


def find_row(folder: Path, row_id: str, task: Task) -> tuple[str, Row]:
    """A row of train, dev or ood as it is read (schemas converted, edits and transforms not applied), and its split.

    Raises:
        InputError: no such row; rows of the test are not looked up.
    """
    found, problems = _look_up(folder, row_id, task)
    if found is not None:
        return found
    if problems:
        raise InputError([f'no row "{row_id}" in what could be read', *problems])
    named = [source for split in SPLITS if split != "test" and isinstance(source := getattr(task.data, split), str)]
    raise InputError(
        f'no row "{row_id}" in {", ".join(named)}; ids are FILE:LINE, such as '
        f"{row_id.rpartition(':')[0] or 'train.jsonl'}:1, and rows of the test are not shown"
    )


def _look_up(folder: Path, row_id: str, task: Task) -> tuple[tuple[str, Row] | None, list[str]]:
    """The split of a row and the row, or None; and a sentence for each source that could not be read."""
    problems: list[str] = []
    for split, row in rows_as_read(task, folder, problems):
        if row.id == row_id:
            if isinstance(row, Row):
                return (split, row), problems
            problems.append(f"data.{split}: {row_id} is a bad row: expected {row.expected}, found {row.found}")
    return None, problems


def _source_events(folder: Path, row_id: str, task: Task) -> tuple[list[Event], list[str]]:
    """What happens to a row before it is decided on, and the sources that could not be read."""
    found, problems = _look_up(folder, row_id, task)
    if found is None:
        return [], problems
    split, row = found
    if split == "train" and (unshown := _unshown(folder, row_id, task)):
        return [Event(step="source", sentence=unshown, values={"split": split})], problems
    view = view_of_task(task)
    key = fingerprint(view.row(row, "", split).input)
    events = [
        Event(
            step="source",
            sentence=f"read for {split}: {shortened(canonical(row.fields), SHOWN_CHARS)}",
            values={"split": split, "fields": row.fields, "folded_fingerprint": key, "digest": row_digest(row)},
        )
    ]
    section, patches = chosen_section(task, folder)
    known, _ = placed(Patches.load(folder), task, folder)
    patches = placed(patches, task, folder)[0] if patches.version else known
    events += _edit_events(row_id, patches, known)
    changing = Changing(transforms=transforms_of(section, task.kind), leave=left_alone(task), texts=view.text_columns)
    changing.of(patches.edited(row).row, lambda *step: events.append(_transform_event(*step)))
    return events, problems


def _transform_event(transform: Transform, old: Mapping[str, Any], new: Mapping[str, Any]) -> Event:
    changed = {name: value for name, value in new.items() if value != old.get(name)}
    return Event(
        step="transform",
        sentence=f"{transform.name} {transform.version}: now {shortened(canonical(changed), SHOWN_CHARS)}",
        values={"transform": transform.name, "set": changed},
    )


def _unshown(folder: Path, row_id: str, task: Task) -> str:
    """Why the text of a row of train is not shown: it is of the test, or may be. Empty when it is shown."""
    try:
        return f"read for train: {SEALED} (hashed out of train)" if hidden(task, folder).has(row_id) else ""
    except InputError as error:
        why = "; ".join(error.problems)
        return f"read for train; whether it is {SEALED}, cannot be told: {why}"


def _edit_events(row_id: str, chosen: Patches, known: Patches) -> list[Event]:
    """The edits of a row; those that the version taken again (``clean.version``) does not have are said to be so."""
    taken = [patch.digest for patch in chosen.of(row_id)]
    events = []
    for patch in known.of(row_id):
        counts = patch.digest in taken
        if counts:
            taken.remove(patch.digest)
        undone = "" if counts else f" (not in data version {chosen.version}, which hone.yaml takes again)"
        moved = "" if patch.row == row_id else f" (recorded when the row was {patch.row})"
        sentence = f"{patch.at} {patch.sentence()}{moved}{undone}"
        events.append(Event(step="edit", sentence=sentence, values={"set": dict(patch.set), "taken": counts}))
    return events


@dataclass(frozen=True, kw_only=True, slots=True)
class _There:
    """A row in a version: its id, a remark, and what tells whether an entry of the ledger under that id is of it."""

    row: str
    remark: str = ""
    by_id: bool = False
    digest: str = ""


def _places(folder: Path, row_id: str, found: Sequence[Version], task: Task | None) -> dict[str, _There]:
    """Where a row is in each version.

    Where the source is another one by now, the row is told as a diff tells it, from a version of the present source.
    """
    source = row_id.rpartition(":")[0]
    hashes = {version.id: one.sha256 for version in found for one in version.sources if one.name == source}
    now = next(reversed(hashes.values()), "") if task is None else _hash_now(folder, source, task)
    same = [version.id for version in found if now and hashes.get(version.id) == now]
    places: dict[str, _There] = {}
    for version in found:
        if not now or hashes.get(version.id, now) == now:
            places[version.id] = _There(row=row_id, by_id=True)
        elif not same:
            remark = f", of an earlier {source}, where the id can be another row's"
            places[version.id] = _There(row=row_id, remark=remark)
        else:
            try:
                old, new = contents_by_row(folder, version.id), contents_by_row(folder, same[-1])
                there = align(old, new).before(row_id)
                digest = new[row_id][1] if row_id in new else _digest_left_out(folder, row_id, same[-1])
                remark = f", as {there}" if there != row_id else ""
                places[version.id] = _There(row=there, remark=remark, digest=digest)
            except FailedError:
                places[version.id] = _There(row=row_id)  # what cannot be read is said with the version
    return places


def _digest_left_out(folder: Path, row_id: str, version_id: str) -> str:
    return next((entry.digest for entry in version_ledger(folder, version_id).entries if entry.row == row_id), "")


def _hash_now(folder: Path, source: str, task: Task) -> str:
    """SHA-256 of the file that ids begin with; empty where there is none."""
    found = {}
    for split in SPLITS:
        named = getattr(task.data, split)
        with contextlib.suppress(InputError):
            found.update({split: find(named, folder)} if isinstance(named, str) else {})
    prefixes = prefixes_of(found)
    paths = {prefixes[split] + file.name: file.path for split, one in found.items() for file in one.files}
    path = paths.get(source)
    return file_hash(path) if path is not None and path.is_file() else ""


def _version_events(folder: Path, there: _There, version: Version) -> list[Event]:
    try:
        return _told_by(folder, there, version)
    except FailedError as error:
        return [Event(step="version", sentence=str(error), values={})]


def _told_by(folder: Path, there: _There, version: Version) -> list[Event]:
    name = f"data version {version.id} ({version.made}{there.remark})"
    for split, row in version_rows(folder, version.id):
        if row.id == there.row:
            digest = row_digest(row)
            values = {"version": version.id, "data": version.data, "kept": True, "split": split, "digest": digest}
            values["row"] = there.row
            return [Event(step="version", sentence=f"{name}: kept in {split}, content {digest}", values=values)]
    entry = next((entry for entry in version_ledger(folder, version.id).entries if entry.row == there.row), None)
    if entry is None:
        return []
    values = {"version": version.id, "kept": False, "row": there.row}
    if not entry.is_of(there.digest, by_id=there.by_id):
        said = "was left out, and the source has changed since, so it need not be this row"
        return [Event(step="version", sentence=f"{name}: a row {there.row} {said}", values={**values, "kept": None})]
    reasons = [{"name": reason.name, "evidence": reason.evidence} for reason in entry.reasons]
    told = "; ".join(f"{reason['name']} ({reason['evidence']})" for reason in reasons)
    sentence = f"{name}: left out of {entry.source}: {told}"
    return [Event(step="version", sentence=sentence, values={**values, "reasons": reasons})]
