"""Looking at rows before there is a task: their columns, and what kind of task, prompt and answer they suggest.

Every proposal comes with its reason, because a person has to be able to disagree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hone.data.columns import (
    ANSWER_NAMES,
    INPUT_NAMES,
    LABEL_NAMES,
    MOST_LABELS,
    Column,
    columns_of,
    first_named,
    has_few_values,
    is_beside,
    is_id,
)
from hone.data.formats import Format, converted, recognise
from hone.data.formats.recognition import SAMPLE
from hone.data.guessing import named_texts
from hone.data.read import read
from hone.data.rows import Bad, Row
from hone.errors import InputError
from hone.task.entities import problem_of
from hone.task.spec import LISTED
from hone.wording import counted

LISTS = {
    "multi-label": ("lists of labels", '["billing", "login"]'),
    "tag": ("lists of entities", '[{"type": "city", "start": 0, "end": 5}] or [{"type": "city", "text": "Paris"}]'),
}
"""What the answers of these kinds are in a row of data, with an example."""
MOST_ROWS = 20_000
"""Rows that are looked at; more change nothing in a proposal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What was seen of a source: rows (at most ``MOST_ROWS``), whether there are more, its columns in order.

    ``format`` is the schema that the rows have, if any; its columns are among them. ``bad``: rows that are none.
    """

    rows: tuple[Row, ...]
    more: bool
    columns: tuple[Column, ...]
    format: Format | None = None
    bad: tuple[Bad, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    def count(self) -> str:
        """How many rows were looked at, for people."""
        return f"{'the first ' if self.more else ''}{counted(len(self.rows), 'row')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A value and why it is proposed."""

    value: Any
    why: str


def look(source: str, base: Path) -> Looked:
    """Read the beginning of a source.

    Raises:
        InputError: when it is missing, empty, of an unknown format, or has no good row.
    """
    rows: list[Row] = []
    bad: list[Bad] = []
    more = False
    stream = read(source, base)
    head = list(islice(stream, SAMPLE))
    found = recognise([row.fields for row in head if isinstance(row, Row)])
    for number, row in enumerate(islice(converted(chain(head, stream), lambda line: None), MOST_ROWS + 1)):
        if number == MOST_ROWS:
            more = True
        elif isinstance(row, Bad):
            bad.append(row)
        else:
            rows.append(row)
    if not rows:
        first = f"; the first bad row: {bad[0].id}: expected {bad[0].expected}, found {bad[0].found}" if bad else ""
        raise InputError(f"--data {source}: holds no rows; expected at least one{first}")
    return Looked(rows=tuple(rows), more=more, columns=tuple(columns_of(rows)), format=found, bad=tuple(bad))


def propose_kind(looked: Looked) -> Proposal | None:
    """The kind of task that the rows' schema or their columns suggest, or None when they suggest nothing."""
    if looked.format is not None:
        return Proposal(value=looked.format.kind, why=f"the rows are {looked.format.name}")
    useful = [column for column in looked.columns if not is_id(column) and not is_beside(column)]
    if len(useful) == 1 and useful[0].kind == "text":
        return Proposal(value="language-model", why=f'there is one column, "{useful[0].name}"')
    objects = [column.name for column in useful if column.kind == "object"]
    if objects:
        return _propose_of_objects(objects, looked)
    label = propose_label(looked)
    texts = named_texts([column for column in useful if column.kind == "text"])
    if label is not None and len(useful) == max(2, len(texts) + 1) and label.value not in map(_braced, texts):
        return Proposal(value="classify", why=label.why)
    if len(useful) == 2:
        return Proposal(value="generate", why="there are two columns, and neither holds few distinct values")
    return Proposal(value="extract", why=f"there are {len(useful)} columns") if len(useful) > 2 else None


def _propose_of_objects(objects: list[str], looked: Looked) -> Proposal:
    """``multi-label`` or ``tag`` where the only one holds such lists with labels that recur; else ``extract``."""
    for kind in LISTED if len(objects) == 1 else ():
        found = propose_list(kind, looked)
        if found is not None and (kind == "tag" or _recur(objects[0], looked)):
            return Proposal(value=kind, why=f"{found.why}; extract would write them as text")
    return Proposal(value="extract", why=f'the column "{objects[0]}" holds objects or lists')


def _recur(column: str, looked: Looked) -> bool:
    """Whether the items of a column's lists are labels: few different ones, each twice on average."""
    items = [item for row in looked.rows for item in row.fields.get(column) or ()]
    return len(set(items)) <= min(MOST_LABELS, len(items) // 2)


def propose_of_format(looked: Looked, kind: str) -> tuple[Proposal, Proposal] | None:
    """Input and output as the rows' schema has them, where it is one of this kind of task."""
    found = looked.format
    if found is None or found.kind != kind:
        return None
    why = f"the rows are {found.name}"
    return Proposal(value=found.input, why=why), Proposal(value=found.output, why=why)


def propose_conversation(looked: Looked, kind: str) -> Proposal | None:
    """The column of conversations, where rows have several answers: each of them can then be learned."""
    found = looked.format
    if found is None or kind != "generate" or "messages" not in found.columns:
        return None
    name = found.columns["messages"]
    answers = [sum(turn["role"] == "assistant" for turn in row.fields.get(name) or ()) for row in looked.rows]
    several = sum(count > 1 for count in answers)
    if not several:
        return None
    why = f"the rows are {found.name}, {several:,} of {looked.count()} with several answers; each answer is learned"
    return Proposal(value=_braced(name), why=why)


def propose_input(looked: Looked, taken: Iterable[str] = ()) -> Proposal | None:
    """The column of the prompt, among those that the answer does not take."""
    left = [c for c in looked.columns if c.name not in set(taken) and c.kind == "text" and _is_usable(c)]
    together = named_texts(left)
    if len(together) > 1:
        return Proposal(value="\n".join(map(_braced, together)), why="by their names")
    named = first_named(left, INPUT_NAMES)
    if named is not None:
        return Proposal(value=_template(named), why="by its name")
    if not left:
        return None
    longest = max(left, key=lambda column: column.mean_chars)
    why = "the only column of text left" if len(left) == 1 else f"the longest text, {longest.mean_chars:.0f} characters"
    return Proposal(value=_template(longest), why=why)


def propose_label(looked: Looked) -> Proposal | None:
    """The column of the label: by its name, else the one with the fewest distinct values."""
    fitting = [column for column in looked.columns if _is_label(column, looked)]
    if not fitting:
        return None
    chosen = first_named(fitting, LABEL_NAMES) or min(fitting, key=lambda column: column.distinct)
    return Proposal(value=_template(chosen), why=f'"{chosen.name}" has {chosen.distinct:,} distinct values')


def propose_list(kind: str, looked: Looked) -> Proposal | None:
    """The column that holds a list of labels in each row (multi-label), or a list of entities (tag)."""
    for column in looked.columns:
        values = [value for row in looked.rows if (value := row.fields.get(column.name)) not in (None, "")]
        if column.kind == "object" and any(values) and all(_is_listed(kind, value) for value in values):
            return Proposal(value=_template(column), why=f'"{column.name}" holds {LISTS[kind][0]}')
    return None


def _is_listed(kind: str, value: Any) -> bool:
    if kind == "tag":
        return problem_of(value) is None
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def propose_text(looked: Looked, taken: Iterable[str]) -> Proposal | None:
    """The column of a generated answer."""
    left = [c for c in looked.columns if c.name not in set(taken) and c.kind != "object" and _is_usable(c)]
    if not left:
        return None
    named = first_named(left, ANSWER_NAMES)
    chosen = named or max(left, key=lambda column: column.mean_chars)
    return Proposal(value=_template(chosen), why="by its name" if named else "the longest text left")


def propose_object(looked: Looked, taken: Iterable[str]) -> Proposal | None:
    """An object of every column that the prompt does not take; identifiers are left out."""
    others = [column for column in looked.columns if column.name not in set(taken)]
    left = [column for column in others if not is_id(column) and _can_be_named(column)]
    if not left:
        return None
    ids = [column.name for column in others if is_id(column)]
    odd = [column.name for column in others if not _can_be_named(column)]
    why = "every other column" + (f"; left out as identifiers: {', '.join(ids)}" if ids else "")
    why += f"; left out because a template cannot name them: {', '.join(odd)}" if odd else ""
    return Proposal(value={column.name: _template(column) for column in left}, why=why)


def propose_document(looked: Looked) -> Proposal | None:
    """The column of a language model's documents."""
    found = propose_input(looked)
    return None if found is None else Proposal(value=found.value, why=found.why)


def _can_be_named(column: Column) -> bool:
    """Braces, colons and exclamation marks mean something else inside a template."""
    return not set(column.name) & set("{}:!")


def _is_usable(column: Column) -> bool:
    return _can_be_named(column) and not is_id(column)


def _is_label(column: Column, looked: Looked) -> bool:
    return has_few_values(column, len(looked.rows)) and _is_usable(column) and not is_beside(column)


def _template(column: Column) -> str:
    return _braced(column.name)


def _braced(name: str) -> str:
    return "{" + name + "}"
