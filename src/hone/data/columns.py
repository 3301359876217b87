"""Columns of rows as they look from outside: kind, how many rows have them, distinct values, and what names suggest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone.data.rows import Row

INPUT_NAMES = (
    "text", "prompt", "input", "question", "sentence", "utterance", "query", "request", "instruction", "message",
    "content", "body", "source", "document", "title",
)  # fmt: skip
LABEL_NAMES = ("label", "category", "class", "intent", "target", "topic", "sentiment", "output", "answer", "tag")
ANSWER_NAMES = (
    "completion", "output", "answer", "response", "summary", "target", "reply", "translation", "sql", "code",
)  # fmt: skip
_ID_NAMES = ("id", "idx", "index", "uuid", "guid", "row", "unnamed: 0", "")
MOST_LABELS = 500
_ROWS_PER_LABEL = 2
_LONGEST_LABEL = 60
_FEW_ENOUGH = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column over the rows looked at."""

    name: str
    kind: str
    """text, number or object (also lists)."""
    filled: int
    """Rows that have it."""
    distinct: int
    mean_chars: float
    whole: bool
    """Every value is text or a whole number, so it can be a label."""


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns of rows, in the order in which they first appear."""
    found = []
    for name in dict.fromkeys(name for row in rows for name in row.fields):
        values = [row.fields[name] for row in rows if row.fields.get(name) not in (None, "")]
        kinds = {_kind(value) for value in values}
        texts = [str(value) for value in values]
        found.append(
            Column(
                name=name,
                kind="object" if "object" in kinds else "text" if "text" in kinds or not kinds else "number",
                filled=len(values),
                distinct=len(set(texts)),
                mean_chars=sum(map(len, texts)) / max(1, len(texts)),
                whole=not any(isinstance(value, float) for value in values),
            )
        )
    return found


def _kind(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "object"
    return "number" if isinstance(value, int | float) else "text"


def is_id(column: Column) -> bool:
    """Whether a column only numbers the rows."""
    return column.name.strip().lower() in _ID_NAMES and (column.kind == "number" or column.distinct == column.filled)


def has_few_values(column: Column, num_rows: int) -> bool:
    """Whether a column can be a label: 2 to 500 distinct values, and two rows or more for each."""
    few = 2 <= column.distinct <= min(MOST_LABELS, max(2, num_rows // _ROWS_PER_LABEL))
    return few and column.kind != "object"


def first_named(columns: Iterable[Column], names: Sequence[str]) -> Column | None:
    """The column whose name stands earliest in a list of names, whatever its case."""
    by_name = {column.name.strip().lower(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), None)


def guess_label(columns: Sequence[Column], num_rows: int, given: Mapping[str, str]) -> tuple[str, str]:
    """The column of the label, and the end of a sentence on it; ``num_rows`` are those looked at, the first ones."""
    if given["label"]:
        return given["label"], f', label = "{given["label"]}" (as given)'
    free = [c for c in columns if c.name not in given.values() and c.whole and not is_id(c) and c.kind != "object"]
    short = [c for c in free if c.mean_chars <= _LONGEST_LABEL and 2 <= c.distinct <= _FEW_ENOUGH * c.filled]
    named = first_named(short, LABEL_NAMES)
    fitting = [c for c in free if has_few_values(c, num_rows) and c.mean_chars <= _LONGEST_LABEL]
    chosen = named or (fitting[0] if len(fitting) == 1 else None)
    if chosen is not None:
        counted = f"{chosen.distinct:,} distinct values in the first {num_rows:,} rows"
        return chosen.name, f', label = "{chosen.name}" ({counted})'
    several = ", ".join(column.name for column in fitting)
    return "", f", no label (several columns could be one: {several})" if several else ""


def guess_texts(columns: Sequence[Column], given: Mapping[str, str], label: str) -> tuple[str | None, str, str]:
    """The columns of prompt and answer ("" where there is none), and the beginning of a sentence on them."""
    texts = [c for c in columns if c.kind == "text" and c.filled and not is_id(c) and c.name != label]
    left = [column for column in texts if column.name not in given.values()]
    prompt, answer = given["text"], given["answer"]
    if prompt or answer:
        if not prompt and left:
            prompt = max(left, key=lambda column: column.mean_chars).name
        why = f'text = "{prompt}"' + (" (as given)" if given["text"] else " (the longest text left)")
        return prompt or None, answer, why + (f', answer = "{answer}" (as given)' if answer else "")
    named_answer = first_named(left, ANSWER_NAMES)
    named_prompt = first_named([column for column in left if column is not named_answer], INPUT_NAMES)
    if named_answer is not None and named_prompt is not None:
        why = f'input = "{named_prompt.name}", answer = "{named_answer.name}" (by their names), text = both'
        return named_prompt.name, named_answer.name, why
    if not left:
        return None, "", ""
    longest = max(left, key=lambda column: column.mean_chars)
    mean = f"{longest.mean_chars:,.0f} characters on average"
    return longest.name, "", f'text = "{longest.name}" (the longest text, {mean})'
