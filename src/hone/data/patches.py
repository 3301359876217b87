"""Edits of single rows, as records: a row is corrected, relabelled or left out without touching the source.

``patches.jsonl`` lies beside ``hone.yaml`` and hone only ever adds to it. Each line names a row, what it was and what
it becomes, and why, and has a hash of the row's content as it was read: a row whose line number has changed is found
by it (:mod:`hone.data.placing`), and an edit never hits another row. A data version records which lines it was made
with, so that an earlier version can be made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hone.data.patch_record import FILE, Patch, read_patches
from hone.data.rows import Row, canonical
from hone.data.wording import shortened
from hone.errors import InputError
from hone.files import atomic_write, content_hash
from hone.lab.locks import waiting_for
from hone.wording import counted

LOCK = Path(".hone") / "patches.lock"
SHOWN = 3
_SHOWN_CHARS = 60
Fit = Literal["same", "changed", "other"]
"""What a row is to an edit: the one it was made for, that one with another value in an edited column, or another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edited:
    """A row after its edits; ``outdated`` are the edits, by column, whose column the source has changed since."""

    row: Row
    outdated: Mapping[str, Patch]


class Patches:
    """The edits of a task folder, in their order.

    ``version``: the data version whose edits these are, where ``hone.yaml`` takes one again; else empty. ``places``:
    the id that the row of each edit has now, "" where no row is known to be it.
    """

    def __init__(self, patches: Sequence[Patch] = (), version: str = "", places: Sequence[str] | None = None) -> None:
        self.all = tuple(patches)
        self.version = version
        self.places = tuple(patch.row for patch in self.all) if places is None else tuple(places)
        self._by_row: dict[str, list[Patch]] = {}
        for patch, place in zip(self.all, self.places, strict=True):
            if place:
                self._by_row.setdefault(place, []).append(patch)
        self.dropped: dict[str, Patch] = {}
        self.seen: set[str] = set()
        self.problems: list[str] = []
        self._strayed = False

    @classmethod
    def load(cls, folder: Path) -> Patches:
        """Read all edits of a folder.

        Raises:
            InputError: naming the line that is no patch.
        """
        return cls(read_patches(folder))

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
        there = read_patches(folder) if edits else []
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
        """What a data version keeps of its edits: how many, a digest over all, the present row and digest of each."""
        edits = [[place, patch.digest] for place, patch in zip(self.places, self.all, strict=True)]
        return {"count": len(edits), "digest": self.digest, "edits": edits}

    def of(self, row: str) -> tuple[Patch, ...]:
        """The edits of one row."""
        return tuple(self._by_row.get(row, ()))

    @property
    def moved(self) -> list[tuple[str, str]]:
        """Rows whose id is another one than when they were edited: the old id and the new one."""
        pairs = zip(self.all, self.places, strict=True)
        return list(dict.fromkeys((patch.row, place) for patch, place in pairs if place not in ("", patch.row)))

    @property
    def is_astray(self) -> bool:
        """Whether an edit with a hash met another row under its id, or none, among the rows that came by."""
        return self._strayed or any(patch.seen and patch.row not in self.seen for patch in self.all)

    def fits(self, row: Row) -> list[tuple[Patch, Fit]]:
        """What the row is to each edit that stands under its id."""
        patches = self._by_row.get(row.id, ())
        return [
            (patch, _fit(patch, row.fields, [one for one in patches if one.seen == patch.seen])) for patch in patches
        ]

    def edited(self, row: Row) -> Edited:
        """The row after its edits, column by column.

        An edit counts while its column holds what it did when the edit was made, in the source or after the edits
        before; a later one that fits takes the place of an earlier one that no longer does.
        """
        edits: dict[str, Any] = {}
        outdated: dict[str, Patch] = {}
        for patch, fit in self.fits(row):
            for name, value in patch.set.items() if fit != "other" else ():
                source = row.fields.get(name)
                there = {canonical(source), canonical(edits.get(name, source))}
                if {canonical(patch.was.get(name)), canonical(value)} & there:
                    edits[name] = value
                    outdated.pop(name, None)
                else:
                    outdated[name] = patch
        return Edited(row=Row(row.id, {**row.fields, **edits}) if edits else row, outdated=outdated)

    def applied(self, row: Row, *, hides_values: bool = False) -> Row:
        """The row as edited. An edit that no longer fits is kept in ``problems``, and a row left out in ``dropped``.

        With ``hides_values`` a problem names the row and the column, and no value.
        """
        if row.id not in self._by_row:
            return row
        self.seen.add(row.id)
        fits = self.fits(row)
        self._strayed |= any(fit != "same" for _, fit in fits)
        edited = self.edited(row)
        for name, patch in edited.outdated.items():
            told = "had another value than now"
            if not hides_values:
                was, now = (
                    shortened(canonical(fields.get(name)), _SHOWN_CHARS) for fields in (patch.was, edited.row.fields)
                )
                told = f"was {was}; it is now {now}"
            self.problems.append(
                f'{FILE}: row {row.id} was edited when "{name}" {told}: the source has changed. Edit it again, or '
                "remove the line"
            )
        for patch, fit in fits:
            if patch.drop and fit != "other":
                self.dropped[row.id] = patch
        return edited.row

    def missing(self) -> list[str]:
        """Edits of rows that did not come by, as one sentence."""
        lost = sorted(set(self._by_row) - self.seen)
        if not lost:
            return []
        rows = counted(len(lost), "edited row is", "edited rows are")
        return [f"{FILE}: {rows} in no source, first {', '.join(lost[:SHOWN])}"]

    def idle(self, cleaned: Iterable[str]) -> list[str]:
        """Rows left out by hand that are not among ``cleaned``, those of train and dev, as one sentence."""
        lost = sorted(set(self.dropped) - set(cleaned)) if self.dropped else []
        if not lost:
            return []
        shown = f"first {', '.join(lost[:SHOWN])}; remove these lines"
        left_out = counted(len(lost), "row left out by hand is", "rows left out by hand are")
        return [f"{FILE}: {left_out} of ood or the test, where that has no effect, {shown}"]


def add(
    folder: Path,
    row: Row,
    changes: Mapping[str, Any],
    *,
    drop: bool = False,
    why: str = "",
    known: Patches | None = None,
) -> Patch:
    """Record an edit of a row of the source, as it was read; the edits that it has already count first.

    ``known``: the edits of the folder by the ids that their rows have now (:func:`hone.data.placing.placed`).

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
        there = read_patches(folder)
        places = [patch.row for patch in there]
        if known is not None and list(known.all) == there[: len(known.all)]:
            places[: len(known.all)] = known.places
        patch = _patch(Patches(there, places=places), row, changes, drop, why)
        line = json.dumps(asdict(patch), ensure_ascii=False) + "\n"
        _check_text(line, row)
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        atomic_write(path, before + ("\n" if before and not before.endswith("\n") else "") + line)
    return patch


def _patch(known: Patches, row: Row, changes: Mapping[str, Any], drop: bool, why: str) -> Patch:
    if any(patch.drop and fit != "other" for patch, fit in known.fits(row)):
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
    over = tuple(row.fields)
    before = [patch.digest for patch, fit in known.fits(row) if fit != "other"]
    return Patch(
        row=row.id,
        set=real,
        was={name: fields[name] for name in real},
        drop=drop,
        why=why,
        at=at,
        seen=content_over(row.fields, over),
        over=over,
        after=before[-1] if before else "",
    )


def content_over(fields: Mapping[str, Any], over: Iterable[str]) -> str:
    """16 hex digits over the values of some columns; empty where one of them is not there."""
    names = list(over)
    return content_hash({name: fields[name] for name in names}, 16) if all(name in fields for name in names) else ""


def _fit(patch: Patch, fields: Mapping[str, Any], alike: Sequence[Patch]) -> Fit:
    """What a row is to an edit; ``alike`` are all edits of the same id that were made on the same content."""
    if patch.seen in ("", content_over(fields, patch.over)):
        return "same"
    before: dict[str, Any] = {}
    made: dict[str, list[str]] = {}
    for one in alike:
        for name, value in one.was.items():
            before.setdefault(name, value)
            made.setdefault(name, [canonical(before[name])]).append(canonical(one.set[name]))
    if not before or content_over({**fields, **before}, patch.over) != patch.seen:
        return "other"
    # The same row but for the edited columns: put right in the source itself, or changed there to something else.
    return "same" if all(canonical(fields.get(name)) in values for name, values in made.items()) else "changed"


def _check_text(line: str, row: Row) -> None:
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"the edit of row {row.id} holds {line[error.start]!r}, half of a character that UTF-8 cannot hold; "
            "give the text in UTF-8. Nothing was recorded"
        ) from None
