"""Splits by group or time: which rows stay together, and which leave first. Folded duplicates never straddle."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
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


def group_of(by: SplitBy | None) -> str:
    """The column whose rows stay together; empty when there is none."""
    return by.column if by is not None and by.by == "group" else ""


def how(by: SplitBy | None, keys: Sequence[str] = (), chosen: Collection[str] = ()) -> str:
    """How rows are chosen, in words; with all keys and the chosen ones also how many groups those are."""
    if by is None:
        return "hashed"
    if by.by == "time":
        return f"taken by {by.column} (newest first)"
    counted = f", {len(chosen):,} of {len(set(keys)):,} groups," if keys else ""
    return f"hashed by {by.column}{counted}"


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
    """Times as numbers, also numbers written as text (a CSV knows no others); a text without a zone is in UTC."""
    values = _values(rows, by)
    moments: list[float] = []
    wrong: list[str] = []
    for row, value in zip(rows, values, strict=True):
        try:
            moments.append(_moment(value))
        except ValueError:
            wrong.append(f"{row.id} has {kind_of(value)}")
    numbers = sum(_number(value) is not None for value in values)
    if not wrong and 0 < numbers < len(values):
        wrong = [f"{numbers:,} numbers and {len(values) - numbers:,} ISO 8601 times, which do not compare"]
    if wrong:
        raise InputError(
            f'data.split: "{by.column}" has to be a number or an ISO 8601 time in every row; '
            f"{len(wrong):,} cannot be read: {'; '.join(wrong[:SHOWN])}"
        )
    return moments


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _moment(value: Any) -> float:
    if (number := _number(value)) is not None:
        return number
    if not isinstance(value, str):
        raise ValueError("neither a finite number nor a text")
    moment = datetime.fromisoformat(value.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
