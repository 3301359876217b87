"""Two data versions side by side: rows in, out, changed and moved, each with its reasons, and how figures moved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.data.aligning import Alignment, align
from hone.data.hidden import SEALED, Hidden
from hone.data.making import dev_sentence
from hone.data.rows import Row, canonical
from hone.data.version_record import Version
from hone.data.versions import find_version, stored_columns, version_ledger, version_rows
from hone.data.wording import shortened

SAMPLES = 3
PREVIEW_CHARS = 160
NEXT_TO_NOTHING = 0.01
NEW = "new in the source"
HASHED_OUT = "hashed out for the test"
GONE = "no longer in the source"
NEW_OR_CHANGED = "new in the source, or changed since it was left out"
GONE_OR_CHANGED = "no longer in the source, or changed and left out"
CHANGED_SOURCE = "changed in the source"
BY_HAND = "edited by hand"
Reasons = dict[str, list[tuple[str, str]]]
"""Row id to reasons, each with its evidence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Rows that share a reason: how many, and a few of them with what shows it."""

    reason: str
    count: int
    samples: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """From version ``a`` to version ``b``. A row with several reasons counts under each; the totals count it once."""

    a: Version
    b: Version
    rows_in: int
    rows_out: int
    rows_changed: int
    rows_moved: int
    renumbered: int
    """Rows told by their content, whose id is another one because lines were inserted or removed."""
    same: int
    groups: Mapping[str, tuple[Group, ...]]
    """``in``, ``out``, ``changed`` and ``moved``, the largest groups first."""
    figures: tuple[Mapping[str, Any], ...]
    """Counts of rows and profile figures that differ: name, value in a, value in b; what moved most first."""
    dev: str = ""
    """A sentence when the two are scored on different rows."""


def diff(folder: Path, first: str, second: str, profile: Any = None, test: Hidden | None = None) -> Diff:
    """Compare two versions of a folder.

    Args:
        folder: the task folder, or the ``--out`` folder of cleaned files.
        first: id or beginning of one, or ``head``.
        second: the same.
        profile: gives the figures of a version's rows by name; None compares counts alone.
        test: what is hashed out of train for the test now; a row of it that was trained on before is not shown.

    Raises:
        InputError: no such version.
    """
    a, b = find_version(folder, first), find_version(folder, second)
    old, new = contents_by_row(folder, a.id), contents_by_row(folder, b.id)
    aligned = align(old, new)
    fresh = [row for row in new if row not in aligned.pairs]
    gone = [row for row in old if row not in aligned.back]
    changed = [row for row, was in aligned.pairs.items() if old[was][1] != new[row][1]]
    moved = [row for row, was in aligned.pairs.items() if old[was][0] != new[row][0]]
    splits = {row: [(f"{old[aligned.pairs[row]][0]} -> {new[row][0]}", "")] for row in moved}
    groups = {
        "in": _grouped(folder, fresh, b.id, _new(folder, (b, a), {row: new[row][1] for row in fresh}, aligned), test),
        "out": _grouped(
            folder, gone, a.id, _left(folder, (a, b), {row: old[row][1] for row in gone}, aligned, test), test
        ),
        "changed": _changed(folder, a, b, {row: aligned.pairs[row] for row in changed}, test),
        "moved": _grouped(folder, moved, b.id, splits, test),
    }
    figures = _counts(a, b)
    if profile is not None:
        figures += _moved(profile(version_rows(folder, a.id)), profile(version_rows(folder, b.id)))
    figures.sort(key=_movement, reverse=True)
    return Diff(
        a=a,
        b=b,
        rows_in=len(fresh),
        rows_out=len(gone),
        rows_changed=len(changed),
        rows_moved=len(moved),
        renumbered=sum(row != was for row, was in aligned.pairs.items()),
        same=len(aligned.pairs) - len({*changed, *moved}),
        groups=groups,
        figures=tuple(figures),
        dev=dev_sentence(folder, a.id, b.id),
    )


def contents_by_row(folder: Path, version_id: str) -> dict[str, tuple[str, str]]:
    """Row id to split and digest; texts are not read."""
    columns = stored_columns(folder, version_id, ("row", "split", "digest"))
    return {row: (split, digest) for row, split, digest in columns}


def _new(folder: Path, versions: tuple[Version, Version], rows: Mapping[str, str], aligned: Alignment) -> Reasons:
    """Why rows with their digests, of the first of two versions, are not in the second, which is the earlier one."""
    before = {row: _id_in(versions, row, aligned.before) for row in rows}
    return _reasons(folder, versions, rows, before, (NEW, NEW_OR_CHANGED))


def _left(
    folder: Path, versions: tuple[Version, Version], rows: Mapping[str, str], aligned: Alignment, test: Hidden | None
) -> Reasons:
    """Why rows are not in the later version: those without an entry are of the test now, or no longer in the source."""
    after = {row: _id_in(versions, row, aligned.after) for row in rows}
    reasons = _reasons(folder, versions, rows, after, (GONE, GONE_OR_CHANGED))
    for row, there in after.items():
        if reasons[row] == [(GONE, "")] and test is not None and test.has(there):
            reasons[row] = [(HASHED_OUT, "")]
    return reasons


def _id_in(versions: tuple[Version, Version], row: str, aligned: Callable[[str], str]) -> str:
    """The id of a row of one version in another: the same one where both were made of the same source."""
    return row if _of_one_source(versions, row) else aligned(row)


def _of_one_source(versions: tuple[Version, Version], row: str) -> bool:
    here, there = (version.sha256_of(row) for version in versions)
    return here == there != ""


def _reasons(
    folder: Path,
    versions: tuple[Version, Version],
    rows: Mapping[str, str],
    ids: Mapping[str, str],
    otherwise: tuple[str, str],
) -> Reasons:
    """Why rows of the first version are not in the second: the reasons with evidence in its ledger.

    Args:
        folder: that holds the versions.
        versions: the one that has the rows, and the one that has not.
        rows: id to digest, in the first.
        ids: which id each has in the second.
        otherwise: what is said of a row without an entry, and of one whose entry may be another row's.
    """
    wanted = set(ids.values())
    entries = {entry.row: entry for entry in version_ledger(folder, versions[1].id).entries if entry.row in wanted}
    found: Reasons = {}
    for row, digest in rows.items():
        entry = entries.get(ids[row])
        if entry is None:
            found[row] = [(otherwise[0], "")]
        elif entry.is_of(digest, by_id=_of_one_source(versions, row)):
            found[row] = [(reason.name, reason.evidence) for reason in entry.reasons]
        else:
            found[row] = [(otherwise[1], "")]
    return found


def _grouped(
    folder: Path,
    rows: Iterable[str],
    version_id: str,
    reasons: Reasons,
    test: Hidden | None,
) -> tuple[Group, ...]:
    counts: Counter[str] = Counter()
    shown: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        for name, evidence in reasons[row]:
            counts[name] += 1
            if len(shown.setdefault(name, [])) < SAMPLES:
                shown[name].append((row, evidence))
    wanted = {row for pairs in shown.values() for row, _ in pairs}
    texts = {row.id: _shown(row, test) or _preview(row) for row in _taken(folder, version_id, wanted)}
    return tuple(
        Group(
            reason=name,
            count=count,
            samples=tuple(
                {"row": row, "evidence": evidence, "text": SEALED if name == HASHED_OUT else texts[row]}
                for row, evidence in shown[name]
            ),
        )
        for name, count in counts.most_common()
    )


def _changed(folder: Path, a: Version, b: Version, rows: Mapping[str, str], test: Hidden | None) -> tuple[Group, ...]:
    """Rows of other content, with the ids that they had: by an edit, by the transforms, or in the source."""
    if not rows:
        return ()
    edits_a, edits_b = _edits(a), _edits(b)
    steps = [{key: value for key, value in step.items() if key != "changed"} for step in a.transforms]
    other = [{key: value for key, value in step.items() if key != "changed"} for step in b.transforms]
    why = "transforms differ" if steps != other else CHANGED_SOURCE
    reason = {row: BY_HAND if edits_a.get(was) != edits_b.get(row) else why for row, was in rows.items()}
    shown = {name: [row for row in rows if reason[row] == name][:SAMPLES] for name in dict.fromkeys(reason.values())}
    wanted = {row for some in shown.values() for row in some}
    before = {row.id: row for row in _taken(folder, a.id, {rows[row] for row in wanted})}
    after = {row.id: row for row in _taken(folder, b.id, wanted)}
    counts = Counter(reason.values())
    return tuple(
        Group(
            reason=name,
            count=count,
            samples=tuple(
                {"row": row, "evidence": "", "text": _change(before[rows[row]], after[row], test)}
                for row in shown[name]
            ),
        )
        for name, count in counts.most_common()
    )


def _edits(version: Version) -> dict[str, list[str]]:
    """Digests of the edits that a version was made with, by row."""
    edits: dict[str, list[str]] = {}
    for row, digest in version.patches["edits"]:
        edits.setdefault(row, []).append(digest)
    return edits


def _taken(folder: Path, version_id: str, wanted: set[str]) -> Iterator[Row]:
    if not wanted:
        return
    left = len(wanted)
    for _, row in version_rows(folder, version_id):
        if row.id in wanted:
            yield row
            left -= 1
            if not left:
                return


def _preview(row: Row) -> str:
    return shortened(canonical(row.fields), PREVIEW_CHARS)


def _shown(row: Row, test: Hidden | None) -> str:
    """What is said in place of the text of a row of the test; empty for every other."""
    return SEALED if test is not None and test.equals(row) else ""


def _change(before: Row, after: Row, test: Hidden | None) -> str:
    if sealed := _shown(before, test) or _shown(after, test):
        return sealed
    names = [name for name in {**before.fields, **after.fields} if before.fields.get(name) != after.fields.get(name)]
    was, now = (
        {name: shortened(canonical(row.fields.get(name)), PREVIEW_CHARS) for name in names} for row in (before, after)
    )
    return "; ".join(f"{name}: {was[name]} -> {now[name]}" for name in names)


def _counts(a: Version, b: Version) -> list[Mapping[str, Any]]:
    names = dict.fromkeys([*a.counts, *b.counts])
    return [
        {"name": f"rows.{name}", "a": a.counts.get(name, 0), "b": b.counts.get(name, 0)}
        for name in names
        if a.counts.get(name, 0) != b.counts.get(name, 0)
    ]


def _moved(a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Figures of two profiles whose values differ by more than the order in which numbers were added."""
    found: list[Mapping[str, Any]] = []
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name, {}).get("value"), b.get(name, {}).get("value")
        if one != other and (one is None or other is None or not math.isclose(one, other, rel_tol=1e-9)):
            found.append({"name": name, "a": one, "b": other})
    return found


def _movement(figure: Mapping[str, Any]) -> float:
    """How much a figure moved, between 0 and 1: a share by its points, any other as a part of the larger value.

    One that is there in one version alone counts as 0 in the other; what is next to nothing in both has hardly moved.
    """
    one, other = (0.0 if value is None else float(value) for value in (figure["a"], figure["b"]))
    whole = 1.0 if figure["name"].endswith(".share") else max(abs(one), abs(other), NEXT_TO_NOTHING)
    return min(1.0, abs(other - one) / whole)
