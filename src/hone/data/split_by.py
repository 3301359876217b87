"""Splits by group or time: which rows stay together, and which leave first. Folded duplicates never straddle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hone.data.rows import Row, canonical, kind_of
from hone.errors import InputError, nearest
from hone.task.spec import SplitBy

SHOWN = 3


def grouped_keys(rows: Sequence[Row], keys: Sequence[str], by: SplitBy | None) -> list[str]:
    """A key per row: equal for rows that have to stay together.

    With a group, rows are tied by an equal text and by an equal group, also over several steps.

    Raises:
        InputError: rows without a value in the column.
    """
    if by is None or by.by != "group":
        return list(keys)
    groups = [f"group:{canonical(value)}" for value in _values(rows, by)]
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for key, group in zip(keys, groups, strict=True):
        one, other = sorted((root(key), root(group)))
        parent[other] = one
    return [root(key) for key in keys]


def places(rows: Sequence[Row], keys: Sequence[str], by: SplitBy | None) -> Mapping[str, float] | None:
    """For a split by time: the share of rows that are newer than each key's newest row. None otherwise.

    Raises:
        InputError: rows without a time, or times that cannot be compared.
    """
    if by is None or by.by != "time":
        return None
    newest: dict[str, float] = {}
    for key, moment in zip(keys, _moments(rows, by), strict=True):
        newest[key] = max(moment, newest.get(key, moment))
    order = sorted(range(len(keys)), key=lambda at: (-newest[keys[at]], keys[at]))
    place: dict[str, float] = {}
    for rank, at in enumerate(order):
        place.setdefault(keys[at], rank / len(keys))
    return place


def how(by: SplitBy | None) -> str:
    """How rows are chosen, in words."""
    if by is None:
        return "hashed"
    return f"taken by {by.column} (newest first)" if by.by == "time" else f"hashed by {by.column}"


def _values(rows: Sequence[Row], by: SplitBy) -> list[Any]:
    without = [row.id for row in rows if row.fields.get(by.column) is None]
    if without:
        known = list(dict.fromkeys(name for row in rows[:100] for name in row.fields))
        hint = nearest(by.column, known) if len(without) == len(rows) else "every row needs one"
        raise InputError(
            f'data.split: {len(without):,} of {len(rows):,} rows have no "{by.column}", first '
            f"{', '.join(without[:SHOWN])}; {hint}"
        )
    return [row.fields[by.column] for row in rows]


def _moments(rows: Sequence[Row], by: SplitBy) -> list[float]:
    """Times as numbers; a text without a zone is taken for UTC."""
    values = _values(rows, by)
    moments: list[float] = []
    wrong: list[str] = []
    for row, value in zip(rows, values, strict=True):
        try:
            moments.append(_moment(value))
        except ValueError:
            wrong.append(f"{row.id} has {kind_of(value)}")
    numbers = sum(isinstance(value, int | float) for value in values)
    if not wrong and 0 < numbers < len(values):
        wrong = [f"{numbers:,} numbers and {len(values) - numbers:,} texts, which do not compare"]
    if wrong:
        raise InputError(
            f'data.split: "{by.column}" has to be a number or an ISO 8601 time in every row; '
            f"{len(wrong):,} cannot be read: {'; '.join(wrong[:SHOWN])}"
        )
    return moments


def _moment(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("a boolean is no time")
    if isinstance(value, int | float):
        return float(value)
    moment = datetime.fromisoformat(str(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
