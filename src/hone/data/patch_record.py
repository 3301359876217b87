"""The lines of ``patches.jsonl``: what an edit of a single row says, and what is wrong with a line that says none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hone.errors import InputError
from hone.files import content_hash

FILE = "patches.jsonl"
_FIELDS: Mapping[str, tuple[type, str]] = {
    **dict.fromkeys(("row", "why", "at", "seen", "after"), (str, "a text")),
    **dict.fromkeys(("set", "was"), (dict, "an object")),
    "drop": (bool, "true or false"),
    "over": (list, "a list of texts"),
}
"""What each field of a line is. Lines of earlier versions of hone have fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    """One edit: ``set`` gives columns their new values and ``was`` their old ones; ``drop`` leaves the row out.

    ``seen``: 16 hex digits over the columns ``over`` of the row as it was read; empty in records of earlier versions of
    hone. Columns that the source gets later do not matter. ``after``: digest of the edit of the same row before it.
    """

    row: str
    set: Mapping[str, Any] = field(default_factory=dict)
    was: Mapping[str, Any] = field(default_factory=dict)
    drop: bool = False
    why: str = ""
    at: str = ""
    seen: str = ""
    over: Sequence[str] = ()
    after: str = ""

    @property
    def digest(self) -> str:
        """12 hex digits over what the edit does, to which row. When it was made and why does not matter."""
        return content_hash([self.row, dict(self.set), dict(self.was), self.drop, *([self.seen] if self.seen else [])])

    def sentence(self) -> str:
        """What the patch does, for people."""
        why = f" ({self.why})" if self.why else ""
        if self.drop:
            return f"left out by hand{why}"
        return "; ".join(f"{name}: {self.was.get(name)!r} -> {value!r}" for name, value in self.set.items()) + why


def read_patches(folder: Path) -> list[Patch]:
    """The edits of a task folder, in their order.

    Raises:
        InputError: every line that is none. No value of a row is told.
    """
    path = folder / FILE
    # Not by splitlines: JSON writes U+2028 and the like as they are.
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    patches, problems = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                patches.append(_patch_of(json.loads(line.decode("utf-8"))))
            except ValueError as error:
                problems.append(f"{path}, line {number}: not an edit that hone wrote: {error}")
    if problems:
        raise InputError(problems)
    return patches


def _patch_of(record: Any) -> Patch:
    """The edit of a line.

    Raises:
        ValueError: with all that is wrong with it.
    """
    if not isinstance(record, dict):
        raise ValueError("expected an object")
    wrong = [] if "row" in record else ["it lacks row"]
    wrong += [f"{name} is no field of an edit" for name in record if name not in _FIELDS]
    for name, (kind, expected) in _FIELDS.items():
        value: Any = record.get(name, kind())
        texts = not isinstance(value, list) or all(isinstance(one, str) for one in value)
        if not isinstance(value, kind) or not texts:
            wrong.append(f"{name}: expected {expected}")
    given, earlier = record.get("set", {}), record.get("was", {})
    if isinstance(given, dict) and isinstance(earlier, dict) and (one_sided := sorted(given.keys() ^ earlier.keys())):
        wrong.append(f"set and was: expected the same columns, and {', '.join(one_sided)} is in one alone")
    if wrong:
        raise ValueError("; ".join(wrong))
    return Patch(**record)
