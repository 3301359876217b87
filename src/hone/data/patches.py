"""Edits of single rows, as records: a row is corrected, relabelled or left out without touching the source.

``patches.jsonl`` lies beside ``hone.yaml`` and is only ever added to. Each line names a row, what it was and what it
becomes, and why; a data version records how many lines it was made with, so an earlier version can be made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hone.data.rows import Row, canonical
from hone.errors import InputError
from hone.files import atomic_write, content_hash

FILE = "patches.jsonl"
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

    def sentence(self) -> str:
        """What the patch does, for people."""
        why = f" ({self.why})" if self.why else ""
        if self.drop:
            return f"left out by hand{why}"
        return "; ".join(f"{name}: {self.was.get(name)!r} -> {value!r}" for name, value in self.set.items()) + why


class Patches:
    """The edits of a task folder, in their order."""

    def __init__(self, patches: Sequence[Patch] = ()) -> None:
        self.all = tuple(patches)
        self._by_row: dict[str, list[Patch]] = {}
        for patch in self.all:
            self._by_row.setdefault(patch.row, []).append(patch)
        self.dropped: dict[str, Patch] = {}
        self.seen: set[str] = set()
        self.problems: list[str] = []

    @classmethod
    def load(cls, folder: Path, count: int | None = None) -> Patches:
        """Read the edits of a folder; with ``count`` the first so many.

        Raises:
            InputError: naming the line that is no patch, or when fewer lines are there than asked for.
        """
        path = folder / FILE
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        if count is not None and len(lines) < count:
            raise InputError(f"{path}: {count} edits are needed for this data version and {len(lines)} are there")
        patches = []
        for number, line in enumerate(lines[:count], 1):
            try:
                patches.append(Patch(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number}: not an edit that hone wrote: {error}") from None
        return cls(patches)

    @property
    def digest(self) -> str:
        """12 hex digits over all edits; empty when there are none. When they were made does not matter."""
        said = [[patch.row, dict(patch.set), patch.drop] for patch in self.all]
        return content_hash(said) if said else ""

    def of(self, row: str) -> tuple[Patch, ...]:
        """The edits of one row."""
        return tuple(self._by_row.get(row, ()))

    def applied(self, row: Row) -> Row:
        """The row as edited. An edit that no longer fits is kept in ``problems``, and a row left out in ``dropped``."""
        fields = row.fields
        for patch in self._by_row.get(row.id, ()):
            self.seen.add(row.id)
            for name, was in patch.was.items():
                if canonical(fields.get(name)) != canonical(was):
                    self.problems.append(
                        f'{FILE}: row {row.id} was edited when "{name}" was {_short(was)}; it is now '
                        f"{_short(fields.get(name))}: the source has changed. Edit it again, or remove the line"
                    )
            if patch.drop:
                self.dropped[row.id] = patch
            fields = {**fields, **patch.set}
        return row if fields is row.fields else Row(row.id, fields)

    def missing(self) -> list[str]:
        """Edits of rows that did not come by, as one sentence."""
        lost = sorted(set(self._by_row) - self.seen)
        if not lost:
            return []
        return [f"{FILE}: {len(lost)} edited rows are in no source, first {', '.join(lost[:SHOWN])}"]


def add(folder: Path, row: Row, changes: Mapping[str, Any], *, drop: bool = False, why: str = "") -> Patch:
    """Record an edit of a row as it is now.

    Raises:
        InputError: for columns that the row does not have, or when nothing would change.
    """
    unknown = [name for name in changes if name not in row.fields]
    if unknown:
        raise InputError(f"row {row.id} has no column {', '.join(unknown)}; its columns: {', '.join(row.fields)}")
    real = {name: value for name, value in changes.items() if canonical(row.fields[name]) != canonical(value)}
    if not real and not drop:
        raise InputError(f"row {row.id} holds these values already; nothing was recorded")
    patch = Patch(
        row=row.id,
        set=real,
        was={name: row.fields[name] for name in real},
        drop=drop,
        why=why,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    path = folder / FILE
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    atomic_write(path, before + json.dumps(asdict(patch), ensure_ascii=False) + "\n")
    return patch


def _short(value: Any) -> str:
    shown = canonical(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
