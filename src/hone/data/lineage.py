"""Everything that happened to one row: read, edited, transformed, measured, decided, split, trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.data.changing import Changing
from hone.data.checking import input_columns, output_columns
from hone.data.cleaning import transforms_of
from hone.data.formats import converted
from hone.data.making import chosen_section
from hone.data.patches import Patches
from hone.data.read import find, read
from hone.data.rows import Row, canonical, fingerprint
from hone.data.sources import SPLITS, prefixes_of
from hone.data.versions import Version, row_digest, version_ledger, version_rows, versions
from hone.data.view import view_of_task
from hone.errors import InputError, nearest
from hone.task.spec import Task

SHOWN_CHARS = 300


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
        InputError: when neither a source nor a version knows the row. Rows of the test split are not shown.
    """
    events: list[Event] = []
    if task is not None:
        events += _source_events(folder, row_id, task)
    events += [event for version in versions(folder) for event in _version_events(folder, row_id, version)]
    if not events:
        known = [row.id for version in versions(folder)[-1:] for _, row in version_rows(folder, version.id)]
        raise InputError(f"{folder}: no source and no data version has a row {row_id}; {nearest(row_id, known[:5000])}")
    return events


def find_row(folder: Path, row_id: str, task: Task) -> tuple[str, Row]:
    """A row of train, dev or ood as it is read (schemas converted, edits and transforms not applied), and its split.

    Raises:
        InputError: no such row; rows of the test are not looked up.
    """
    named = {split: getattr(task.data, split) for split in SPLITS if isinstance(getattr(task.data, split), str)}
    found = {split: find(source, folder) for split, source in named.items()}
    prefixes = prefixes_of(found)
    file = row_id.rpartition(":")[0]
    for split, source in named.items():
        if split == "test":
            continue
        wanted = (*input_columns(task), *output_columns(task))
        for row in converted(read(source, folder, prefixes[split]), _unsaid, wanted=wanted):
            if row.id == row_id and isinstance(row, Row):
                return split, row
    raise InputError(
        f'no row "{row_id}" in {", ".join(str(source) for split, source in named.items() if split != "test")}; '
        f"ids are FILE:LINE, such as {file or 'train.jsonl'}:1, and rows of the test are not shown"
    )


def _source_events(folder: Path, row_id: str, task: Task) -> list[Event]:
    try:
        split, row = find_row(folder, row_id, task)
    except InputError:
        return []
    view = view_of_task(task)
    key = fingerprint(view.row(row, "", split).input)
    events = [
        Event(
            step="source",
            sentence=f"read for {split}: {_short(canonical(row.fields))}",
            values={"split": split, "fields": row.fields, "folded_fingerprint": key, "digest": row_digest(row)},
        )
    ]
    section, _ = chosen_section(task, folder)
    for patch in Patches.load(folder).of(row_id):
        events.append(Event(step="edit", sentence=f"{patch.at} {patch.sentence()}", values={"set": dict(patch.set)}))
        row = Row(row.id, {**row.fields, **patch.set})
    for transform in transforms_of(section, task.kind):
        new = Changing(transforms=[transform], columns=view.text_columns).of(row)
        if new is not row:
            changed = {name: value for name, value in new.fields.items() if value != row.fields.get(name)}
            events.append(
                Event(
                    step="transform",
                    sentence=f"{transform.name} {transform.version}: now {_short(canonical(changed))}",
                    values={"transform": transform.name, "set": changed},
                )
            )
        row = new
    return events


def _version_events(folder: Path, row_id: str, version: Version) -> list[Event]:
    name = f"data version {version.id} ({version.made})"
    for split, row in version_rows(folder, version.id):
        if row.id == row_id:
            digest = row_digest(row)
            values = {"version": version.id, "kept": True, "split": split, "digest": digest}
            return [Event(step="version", sentence=f"{name}: kept in {split}, content {digest}", values=values)]
    for entry in version_ledger(folder, version.id).entries:
        if entry.row == row_id:
            reasons = [{"name": reason.name, "evidence": reason.evidence} for reason in entry.reasons]
            said = "; ".join(f"{reason['name']} ({reason['evidence']})" for reason in reasons)
            values = {"version": version.id, "kept": False, "reasons": reasons}
            return [Event(step="version", sentence=f"{name}: left out of {entry.source}: {said}", values=values)]
    return []


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."


def _unsaid(line: str) -> None:
    """Said when the data was prepared."""
