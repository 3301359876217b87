"""Rules: predicates over signal columns, each with its threshold and source. Deciding reads no text.

Every rule is applied to every row, so that a row that leaves carries *all* rules that it failed and the evidence.
A null says that a signal could not measure a row; a rule over it keeps the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hone.errors import FailedError, InputError, nearest

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Keep a row when ``low <= column <= high``, or when the column is one of ``one_of``, or when it is ``absent``.

    ``splits``: whose rows the rule is for. ``source`` says where the threshold is from; ``evidence`` names further
    columns that show why a row failed.
    """

    name: str
    column: str
    low: float | None = None
    high: float | None = None
    one_of: tuple[str, ...] = ()
    absent: bool = False
    splits: tuple[str, ...] = ("train",)
    source: str
    evidence: tuple[str, ...] = ()

    @property
    def signal(self) -> str:
        """Name of the signal that gives the column."""
        return self.column if self.column.startswith("own:") else self.column.partition(".")[0]

    def sentence(self) -> str:
        """What the rule keeps, for people."""
        if self.absent:
            return f"{self.column} is absent"
        if self.one_of:
            return f"{self.column} in {', '.join(self.one_of)}"
        low = "" if self.low is None else f"{self.low:g} <= "
        high = "" if self.high is None else f" <= {self.high:g}"
        return f"{low}{self.column}{high}"

    def removal(self) -> str:
        """What the rule removes, for people."""
        if self.absent:
            return f"{self.column} has a value"
        if self.one_of:
            return f"{self.column} is not {' or '.join(self.one_of)}"
        low = [] if self.low is None else [f"under {self.low:,g}"]
        high = [] if self.high is None else [f"over {self.high:,g}"]
        return f"{self.column} is {' or '.join(low + high)}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Decisions:
    """``keep`` (N,) and, for each rule, the rows that fail it (N,), in the order of the rows."""

    keep: Mask
    failed: dict[str, Mask]

    def counts(self) -> dict[str, dict[str, int]]:
        """For each rule: rows that fail it, and rows that fail it alone."""
        many = sum((mask.astype(np.int32) for mask in self.failed.values()), np.zeros(len(self.keep), np.int32))
        return {
            name: {"fails": int(mask.sum()), "alone": int((mask & (many == 1)).sum())}
            for name, mask in self.failed.items()
        }


def decide(columns: pa.Table, rules: Sequence[Rule]) -> Decisions:
    """Apply every rule to every row.

    Raises:
        InputError: a rule over a column that was not measured, or a threshold on words, all at once.
    """
    failed: dict[str, Mask] = {}
    inside: dict[tuple[str, ...], Mask] = {}
    problems: list[str] = []
    for rule in rules:
        if rule.column not in columns.column_names:
            known = nearest(rule.column, columns.column_names)
            problems.append(f'rule {rule.name}: no signal measures the column "{rule.column}"; {known}')
            continue
        column = columns.column(rule.column)
        ordered = (
            pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
        )
        if (rule.low is not None or rule.high is not None) and not ordered:
            problems.append(f"rule {rule.name}: {rule.column} holds {column.type}, which has no smaller and larger")
            continue
        if rule.one_of and not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            problems.append(f"rule {rule.name}: {rule.column} holds {column.type}; one_of is for words")
            continue
        if rule.splits not in inside:
            inside[rule.splits] = _in_splits(columns, rule.splits)
        failed[rule.name] = _fails(rule, column) & inside[rule.splits]
    if problems:
        raise InputError(problems)
    keep = np.ones(columns.num_rows, bool)
    for mask in failed.values():
        keep &= ~mask
    return Decisions(keep=keep, failed=failed)


def _fails(rule: Rule, column: pa.ChunkedArray) -> Mask:
    if rule.absent:
        return _mask(pc.is_valid(column))
    if rule.one_of:
        return ~_mask(pc.is_in(column, value_set=pa.array(rule.one_of, column.type))) & _mask(pc.is_valid(column))
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    fails = np.zeros(len(column), bool)
    # A share of 0.3 in single precision is not the 0.3 of a threshold: both are taken in the column's precision.
    kind = column.type if pa.types.is_floating(column.type) else pa.float64()
    if rule.low is not None:
        fails |= _mask(pc.fill_null(pc.less(column, pa.scalar(float(rule.low), kind)), False))
    if rule.high is not None:
        fails |= _mask(pc.fill_null(pc.greater(column, pa.scalar(float(rule.high), kind)), False))
    return fails


def _in_splits(columns: pa.Table, splits: tuple[str, ...]) -> Mask:
    if "split" not in columns.column_names:
        return np.ones(columns.num_rows, bool)
    column = columns.column("split")
    return _mask(pc.is_in(column, value_set=pa.array(splits, column.type)))


def _mask(column: pa.ChunkedArray) -> Mask:
    return np.asarray(column.to_numpy(zero_copy_only=False), bool)


def evidence(rule: Rule, columns: pa.Table, position: int) -> str:
    """What shows that a row fails a rule: the value beside the threshold, and the rule's further columns."""
    value = columns.column(rule.column)[position].as_py()
    shown = f"{rule.column} {_shown(value)}"
    # A flag that is set is over no threshold.
    if not rule.absent and not isinstance(value, bool):
        shown += f", {_why(rule, value)}"
    for name in rule.evidence:
        further = columns.column(name)[position].as_py()
        if further not in (None, [], ""):
            shown += f"; {name} {_shown(further)}"
    return shown


def _why(rule: Rule, value: Any) -> str:
    """The threshold that a value does not keep to."""
    if rule.one_of:
        return f"not {' or '.join(rule.one_of)}"
    if rule.low is not None and (rule.high is None or value < rule.low):
        return f"under {rule.low:g}"
    return f"over {rule.high:g}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        spans = [
            f"{span['kind']} at {span['start']}-{span['end']}" if isinstance(span, dict) else str(span)
            for span in value
        ]
        return ", ".join(spans[:3]) + (f" and {len(spans) - 3} more" if len(spans) > 3 else "")
    return str(value)


def changed(
    rules: Sequence[Rule], wishes: Mapping[str, Mapping[str, Any] | bool], optional: Mapping[str, Rule] | None = None
) -> tuple[Rule, ...]:
    """Rules after a person's wishes: another threshold for a rule, ``False`` to leave one out, or a rule of their own.

    ``True`` adds a rule of ``optional``.

    Raises:
        InputError: an unknown rule to change, or a rule of one's own that lacks a column or threshold.
    """
    known = {rule.name: rule for rule in rules}
    more = optional or {}
    problems: list[str] = []
    for name, wish in wishes.items():
        if isinstance(wish, bool):
            if name not in known and name not in more:
                hint = nearest(name, list(dict.fromkeys([*[rule.name for rule in rules], *more])))
                problems.append(f"clean.rules.{name}: no rule has this name; {hint}")
            elif wish:
                known.setdefault(name, more.get(name) or known[name])
            else:
                known.pop(name, None)
            continue
        try:
            known[name] = _wished(name, known.get(name, more.get(name)), wish)
        except ValueError as error:
            hint = f"; or {nearest(name, [rule.name for rule in rules])}" if rules else ""
            problems.append(f"clean.rules.{name}: {error}{hint}")
    if problems:
        raise InputError(problems)
    return tuple(known.values())


def _wished(name: str, old: Rule | None, wish: Mapping[str, Any]) -> Rule:
    from dataclasses import replace

    new = {key: value for key, value in wish.items() if value is not None}
    if old is None and "column" not in new:
        raise ValueError("a rule of your own needs `column` and one of `min`, `max`, `one_of`, `absent`")
    given: dict[str, Any] = {end: new[key] for key, end in (("min", "low"), ("max", "high")) if key in new}
    if new.get("one_of"):
        given["one_of"] = tuple(new["one_of"])
    if new.get("absent"):
        given["absent"] = True
    if not given:
        raise ValueError("says no threshold; expected one of `min`, `max`, `one_of`, `absent`")
    source = str(new.get("source", "hone.yaml"))
    if old is not None and new.get("column", old.column) == old.column:
        return replace(old, **given, source=f"{source} (preset: {old.sentence()}; {old.source})")
    return Rule(name=name, column=str(new["column"]), source=source, **given)


def needed_signals(rules: Iterable[Rule]) -> list[str]:
    """Names of the signals that rules decide by, each once, in order."""
    return list(dict.fromkeys(rule.signal for rule in rules))


def check_one_each(rules: Sequence[Rule]) -> None:
    """Refuse two rules of one name, which would be a mistake in a preset."""
    names = [rule.name for rule in rules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FailedError(f"two rules are named {', '.join(twice)}")
