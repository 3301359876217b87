"""Edits of single rows, as records: a row is corrected, relabelled or left out without touching the source.

``patches.jsonl`` lies beside ``hone.yaml`` and hone only ever adds to it. Each line names a row, what it was and what
it becomes, and why. A data version records which lines it was made with, so that an earlier version can be made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hone.data.rows import Row, canonical
from hone.errors import InputError
from hone.files import atomic_write, content_hash
from hone.lab.locks import waiting_for

FILE = "patches.jsonl"
LOCK = Path(".hone") / "patches.lock"
SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """One edit: ``set`` gives columns their new values and ``was`` their old ones; ``drop`` leaves the row out."""

    row: str
    set: Mapping[str, Any] = field(default_factory=dict)
    was: Mapping[str, Any] = field(default_factory=dict)
    drop: bool = False
    why: str = ""
    at: str = ""

    @property
    def digest(self) -> str:
        """12 hex digits over what the edit does. When it was made and why does not matter."""
        return content_hash([self.row, dict(self.set), dict(self.was), self.drop])

    def sentence(self) -> str:
        """What the patch does, for people."""
        why = f" ({self.why})" if self.why else ""
        if self.drop:
            return f"left out by hand{why}"
        return "; ".join(f"{name}: {self.was.get(name)!r} -> {value!r}" for name, value in self.set.items()) + why


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """A row after its edits; ``outdated`` are the edits, by column, whose column the source has changed since."""

    row: Row
    outdated: Mapping[str, Patch]


class Patches:
    """The edits of a task folder, in their order.

    ``version``: the data version whose edits these are, where ``hone.yaml`` takes one again; else empty.
    """

    def __init__(self, patches: Sequence[Patch] = (), version: str = "") -> None:
        self.all = tuple(patches)
        self.version = version
        self._by_row: dict[str, list[Patch]] = {}
        for patch in self.all:
            self._by_row.setdefault(patch.row, []).append(patch)
        self.dropped: dict[str, Patch] = {}
        self.seen: set[str] = set()
        self.problems: list[str] = []

    @classmethod
    def load(cls, folder: Path) -> Patches:
        """Read all edits of a folder.

        Raises:
            InputError: naming the line that is no patch.
        """
        return cls(_read(folder))

    @classmethod
    def of_version(cls, folder: Path, version: str, edits: Sequence[Sequence[str]]) -> Patches:
        """The edits that a data version was made with.

        Args:
            folder: the task folder.
            version: id of the version.
            edits: row and digest of each, as :meth:`record` gives them.

        Raises:
            InputError: when some of them are no longer in the file.
        """
        there = _read(folder) if edits else []
        chosen, lost, start = [], [], 0
        for row, digest in edits:
            at = next((at for at in range(start, len(there)) if there[at].digest == digest), None)
            if at is None:
                lost.append(row)
            else:
                chosen.append(there[at])
                start = at + 1
        if lost:
            raise InputError(
                f"{folder / FILE}: data version {version} was made with {len(edits):,} edits, and {len(lost):,} of "
                f"them are no longer there, first of {', '.join(lost[:SHOWN])}; put the lines back, or leave "
                "clean.version out of hone.yaml"
            )
        return cls(chosen, version)

    @property
    def digest(self) -> str:
        """12 hex digits over all edits; empty when there are none."""
        said = [patch.digest for patch in self.all]
        return content_hash(said) if said else ""

    def record(self) -> dict[str, Any]:
        """What a data version keeps of its edits: how many, a digest over all, row and digest of each."""
        edits = [[patch.row, patch.digest] for patch in self.all]
        return {"count": len(edits), "digest": self.digest, "edits": edits}

    def of(self, row: str) -> tuple[Patch, ...]:
        """The edits of one row."""
        return tuple(self._by_row.get(row, ()))

    def edited(self, row: Row) -> Edited:
        """The row after its edits, column by column.

        An edit counts while its column holds what it did when the edit was made, in the source or after the edits
        before; a later one that fits takes the place of an earlier one that no longer does.
        """
        edits: dict[str, Any] = {}
        outdated: dict[str, Patch] = {}
        for patch in self._by_row.get(row.id, ()):
            for name, value in patch.set.items():
                source = row.fields.get(name)
                there = {canonical(source), canonical(edits.get(name, source))}
                if {canonical(patch.was.get(name)), canonical(value)} & there:
                    edits[name] = value
                    outdated.pop(name, None)
                else:
                    outdated[name] = patch
        return Edited(row=Row(row.id, {**row.fields, **edits}) if edits else row, outdated=outdated)

    def applied(self, row: Row) -> Row:
        """The row as edited. An edit that no longer fits is kept in ``problems``, and a row left out in ``dropped``."""
        patches = self._by_row.get(row.id)
        if patches is None:
            return row
        self.seen.add(row.id)
        edited = self.edited(row)
        for name, patch in edited.outdated.items():
            self.problems.append(
                f'{FILE}: row {row.id} was edited when "{name}" was {_short(patch.was.get(name))}; it is now '
                f"{_short(edited.row.fields.get(name))}: the source has changed. Edit it again, or remove the line"
            )
        for patch in patches:
            if patch.drop:
                self.dropped[row.id] = patch
        return edited.row

    def missing(self) -> list[str]:
        """Edits of rows that did not come by, as one sentence."""
        lost = sorted(set(self._by_row) - self.seen)
        if not lost:
            return []
        return [f"{FILE}: {len(lost)} edited rows are in no source, first {', '.join(lost[:SHOWN])}"]

    def idle(self, cleaned: Iterable[str]) -> list[str]:
        """Rows left out by hand that are not among ``cleaned``, those of train and dev, as one sentence."""
        lost = sorted(set(self.dropped) - set(cleaned)) if self.dropped else []
        if not lost:
            return []
        shown = f"first {', '.join(lost[:SHOWN])}; remove these lines"
        return [f"{FILE}: {len(lost)} rows left out by hand are of ood or the test, where that has no effect, {shown}"]


def add(folder: Path, row: Row, changes: Mapping[str, Any], *, drop: bool = False, why: str = "") -> Patch:
    """Record an edit of a row of the source; the edits that it has already count first.

    Raises:
        InputError: for columns that the row does not have, when nothing would change, when the row is left out by hand
            already, or for text that UTF-8 cannot hold.
        BusyError: when another process holds the file for half a minute.
    """
    unknown = [name for name in changes if name not in row.fields]
    if unknown:
        raise InputError(f"row {row.id} has no column {', '.join(unknown)}; its columns: {', '.join(row.fields)}")
    path = folder / FILE
    with waiting_for(folder / LOCK, str(path)):
        patch = _patch(Patches.load(folder), row, changes, drop, why)
        line = json.dumps(asdict(patch), ensure_ascii=False) + "\n"
        _check_text(line, row)
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        atomic_write(path, before + ("\n" if before and not before.endswith("\n") else "") + line)
    return patch


def _patch(known: Patches, row: Row, changes: Mapping[str, Any], drop: bool, why: str) -> Patch:
    if any(patch.drop for patch in known.of(row.id)):
        raise InputError(f"row {row.id} is left out by hand already; remove that line of {FILE} to have the row back")
    edited = known.edited(row)
    fields = edited.row.fields
    # An outdated edit is settled by any value that a person gives, the one that is there included.
    real = {
        name: value
        for name, value in changes.items()
        if canonical(fields[name]) != canonical(value) or name in edited.outdated
    }
    if not real and not drop:
        raise InputError(f"row {row.id} holds these values already; nothing was recorded")
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Patch(row=row.id, set=real, was={name: fields[name] for name in real}, drop=drop, why=why, at=at)


def _check_text(line: str, row: Row) -> None:
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"the edit of row {row.id} holds {line[error.start]!r}, half of a character that UTF-8 cannot hold; "
            "give the text in UTF-8. Nothing was recorded"
        ) from None


def _read(folder: Path) -> list[Patch]:
    """All edits. Not by splitlines: JSON writes U+2028 and the like as they are."""
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    patches = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                patches.append(Patch(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number}: not an edit that hone wrote: {error}") from None
    return patches


def _short(value: Any) -> str:
    shown = canonical(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
