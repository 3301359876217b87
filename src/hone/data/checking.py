"""Rows against the task: columns that templates name, values that can be text, and bad rows as sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from hone.data.rows import Bad, Row, kind_of, told
from hone.errors import nearest
from hone.task.conversation import EXPECTED, conversation_problem
from hone.task.entities import problem_of
from hone.task.spec import LISTED, Task
from hone.task.templates import columns
from hone.wording import counted

SHOWN = 3
_JSON = (str, int, float, bool, type(None))


def input_columns(task: Task) -> list[str]:
    """Columns that the prompt is made of; none for language-model tasks."""
    turns = task.input if isinstance(task.input, list) else []
    return columns([turn.content for turn in turns] or task.prompt_template)


def output_columns(task: Task) -> list[str]:
    """Columns that the answer (or document) is made of."""
    return columns(task.answer_template)


class BadRows:
    """Bad rows counted by what is wrong with them, of which the first three each are kept."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], list[Bad]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, bad: Bad) -> None:
        """Count one."""
        key = (bad.field, bad.expected)
        self._counts[key] += 1
        first = self._first.setdefault(key, [])
        if len(first) < SHOWN:
            first.append(bad)

    def problems(self, source: str, num_rows: int) -> list[str]:
        """One sentence per kind of problem, with the number of rows and the first three."""
        return [self._sentence(source, num_rows, *key) for key in self._first]

    def _sentence(self, source: str, num_rows: int, field: str, expected: str) -> str:
        shown = told(self._first[field, expected])
        total = self._counts[field, expected]
        more = f"; and {total - SHOWN:,} more" if total > SHOWN else ""
        what = f'field "{field}": ' if field else ""
        count = "1 bad row" if total == 1 else f"{total:,} bad rows"
        return f"{source}: {count} of {num_rows:,}: {what}expected {expected}; {shown}{more}"


class Checker:
    """Checks rows of one source and keeps what is wrong, to be said all at once; ``on_bad`` is handed each fault.

    With ``hides_values`` no value of a bad row is kept or said; nor are names of columns that are ``doubtful`` by the
    time of :meth:`problems`.
    """

    def __init__(
        self,
        task: Task,
        source: str,
        on_bad: Callable[[Bad], None] | None = None,
        *,
        hides_values: bool = False,
        doubtful: Set[str] = frozenset(),
    ) -> None:
        self.source = source
        self.rows = 0
        self._on_bad = on_bad
        self._hides_values = hides_values
        self._doubtful = doubtful
        self.bad = BadRows()
        self._missing: dict[str, list[str]] = {}
        self._seen: dict[str, None] = {}
        self._inputs = input_columns(task)
        self._outputs = output_columns(task)
        self._json_allowed = task.kind == "extract"
        self._listed = LISTED.get(task.kind)
        self._conversation = task.conversation is not None
        self._tools = "".join(columns(task.tools))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the task names."""
        return (*self._inputs, *self._outputs)

    def good(self, rows: Iterator[Row | Bad]) -> Iterator[Row]:
        """Pass on the rows that the task can use; the others are kept for :meth:`problems`."""
        for row in rows:
            self.rows += 1
            if isinstance(row, Bad):
                self._add(row)
            elif self._is_good(row):
                yield row

    def _add(self, bad: Bad) -> None:
        bad = bad.without_value() if self._hides_values else bad
        self.bad.add(bad)
        if self._on_bad is not None:
            self._on_bad(bad)

    def _is_good(self, row: Row) -> bool:
        fields, good = row.fields, True
        for column in dict.fromkeys(self.columns):
            value = fields.get(column)
            if type(value) is str and not self._conversation and (self._listed is None or column in self._inputs):
                continue
            if column not in fields:
                self._missing.setdefault(column, []).append(row.id)
                self._seen.update(dict.fromkeys(fields))
                if self._on_bad is not None:
                    self._on_bad(Bad(row.id, column, "a value", "no such column"))
                good = False
                continue
            expected, found = self._fault(column, value)
            if found is not None:
                self._add(Bad(row.id, column, expected, found))
                good = False
        # A row may have no tools, so their column is none that it needs.
        tools = fields.get(self._tools) if self._tools else None
        if tools is not None and not isinstance(tools, str | list | dict):
            self._add(Bad(row.id, self._tools, "a list of tools, or JSON of one", kind_of(tools)))
            good = False
        return good

    def _fault(self, column: str, value: Any) -> tuple[str, str | None]:
        """What a column of the task has to hold, and what it holds instead; None where it is right."""
        if self._conversation:
            return EXPECTED, conversation_problem(value)
        if self._listed is not None and column not in self._inputs:
            return f"a {self._listed}", _list_problem(self._listed, value)
        if self._json_allowed and column not in self._inputs:
            return "a JSON value", None if _is_json(value) else kind_of(value)
        return "text", None if _is_text(value) else kind_of(value)

    def problems(self) -> list[str]:
        """One sentence per kind of problem, with the number of rows and the first three."""
        sentences = [self._missing_sentence(column, rows) for column, rows in self._missing.items()]
        return sentences + self.bad.problems(self.source, self.rows)

    def _missing_sentence(self, column: str, rows: Sequence[str]) -> str:
        where = "conversation" if self._conversation else "input" if column in self._inputs else "output"
        others = [name for name in self._seen if name != column]
        known = [name for name in others if name not in self._doubtful]
        unsaid = f"{counted(len(others) - len(known), 'name')} of columns may be values of a row and cannot be shown"
        # One known name is enough of a hint; the list of all of them always follows.
        hints = [f"{nearest(column, known)} (columns: {', '.join(known)})"] if known else []
        hint = "; ".join([*hints, *[unsaid] * (len(others) > len(known))]) or "the row is empty"
        which = "no row has it" if len(rows) == self.rows else f"{len(rows):,} of {counted(self.rows, 'row')} lack it"
        return f'{self.source}: {where} names the column "{column}" and {which}, first {_list(rows)}; {hint}'


def _list_problem(wanted: str, value: Any) -> str | None:
    """What is wrong with the list of labels, or of entities, that a row has as its answer."""
    if wanted == LISTED["tag"]:
        return problem_of(value) and f"{kind_of(value)}: {problem_of(value)}"
    fits = isinstance(value, list | tuple) and all(isinstance(label, str) and label for label in value)
    return None if fits else kind_of(value)


def _list(rows: Sequence[str]) -> str:
    return ", ".join(rows[:SHOWN])


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and not _is_nan(value)


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return all(_is_json(part) for part in value)
    return isinstance(value, _JSON) and not _is_nan(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
