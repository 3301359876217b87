"""Columns of rows as they look from outside: kind, how many rows have them, distinct values, and what names suggest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hone.data.parts import shown
from hone.data.rows import Row

INPUT_NAMES = (
    "text", "prompt", "input", "question", "sentence", "utterance", "query", "request", "instruction", "message",
    "content", "body", "source", "document", "title",
)  # fmt: skip
LABEL_NAMES = ("label", "category", "class", "intent", "target", "topic", "sentiment", "output", "answer", "tag")
ANSWER_NAMES = (
    "completion", "output", "answer", "response", "summary", "target", "reply", "translation", "sql", "code",
)  # fmt: skip
BESIDE_NAMES = (
    "licence", "license", "source", "lang", "language", "locale", "url", "uri", "link", "split", "fold", "date", "time",
    "datetime", "timestamp", "created", "updated", "modified", "year", "file", "filename", "path", "version", "hash",
)  # fmt: skip
"""What is said about a row and is no part of it: neither its text nor its label, unless a person says so."""
_BESIDE_ENDINGS = ("_id", "_at", "_date", "_time", "_url", "_hash", "_licence", "_license", "_lang", "_language")
ID_NAMES = ("id", "idx", "index", "uuid", "guid", "row", "unnamed: 0", "")
MOST_LABELS = 500
_ROWS_PER_LABEL = 2
LONGEST_LABEL = 60
"""Characters of a label, on average."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column over the rows looked at."""

    name: str
    kind: str
    """text, number or object (also lists)."""
    kinds: tuple[str, ...]
    """Every kind that its values have, and flag for true and false, by name."""
    present: int
    """Rows that have it, be it null or empty."""
    filled: int
    """Rows that have something in it."""
    distinct: int
    """Different values, as a text table has them: the number 1 and the text "1" are one."""
    mean_chars: float
    whole: bool
    """Every value is text or a whole number, so it can be a label."""
    numeric: bool
    """Every value is a number, or text that reads as one, as a CSV file has them."""


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns of rows, in the order in which they first appear."""
    found = []
    for name in dict.fromkeys(name for row in rows for name in row.fields):
        given = [row.fields[name] for row in rows if name in row.fields]
        values = [value for value in given if value not in (None, "")]
        kinds = {_kind(value) for value in values}
        texts = [shown(value) for value in values]
        found.append(
            Column(
                name=name,
                kind="object" if "object" in kinds else "text" if "text" in kinds or not kinds else "number",
                kinds=tuple(sorted(kinds)),
                present=len(given),
                filled=len(values),
                distinct=len(set(texts)),
                mean_chars=sum(map(len, texts)) / max(1, len(texts)),
                whole=not any(isinstance(value, float) and not value.is_integer() for value in values),
                numeric=bool(texts) and all(map(reads_as_number, texts)),
            )
        )
    return found


def _kind(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "object"
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else "text"


def reads_as_number(text: str) -> bool:
    """Whether a text is a number and nothing else."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_id(column: Column) -> bool:
    """Whether a column only numbers the rows."""
    return folded(column.name) in ID_NAMES and (column.kind == "number" or column.distinct == column.filled)


def is_beside(column: Column) -> bool:
    """Whether a column's name says that it is about the row: where it is from, its licence, its language, its date."""
    name = folded(column.name)
    return name in BESIDE_NAMES or name.endswith(_BESIDE_ENDINGS)


def folded(name: str) -> str:
    """A column's name as lists of names have them."""
    return name.strip().lower()


def has_few_values(column: Column, num_rows: int) -> bool:
    """Whether a column can be a label: 2 to 500 distinct values, and two rows or more for each."""
    few = 2 <= column.distinct <= min(MOST_LABELS, max(2, num_rows // _ROWS_PER_LABEL))
    return few and column.kind != "object"


def first_named(columns: Iterable[Column], names: Sequence[str]) -> Column | None:
    """The column whose name stands earliest in a list of names, whatever its case."""
    by_name = {folded(column.name): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)
