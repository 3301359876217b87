"""What a schema of the field is to hone: columns that it adds beside a row's own, and rows that it refuses.

Canonical columns, the same whatever the schema:

========================  ====================================================================================
``prompt``                all that stands before the answer, as text
``completion``            the answer, as text
``messages``              the whole conversation as a list of ``role`` and ``content`` (and ``tool_calls``)
``system``, ``tools``     the system turn as text; the tools as JSON text
``chosen``, ``rejected``  the better and the worse answer, as text
``kto_label``             whether an answer is wanted, a boolean
``context``, ``question``, ``answer``, ``answer_start``   one question on a text; the start counts code points
``text``, ``entities``    a sentence of tokens or pieces, and its entities as ``{"type", "text"}``
========================  ====================================================================================

A row's own columns stay. Where one of them has a canonical name and other content, the canonical column gets a
longer name (``chosen`` becomes ``chosen_text``), for the whole source, and the format's line says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone.data.rows import Bad, Row, kind_of
from hone.task.spec import Kind

Fields = Mapping[str, Any]
SUFFIXES = {"messages": "list", "entities": "list", "kto_label": "flag", "answer_start": "number"}
"""The longer name of a canonical column that is not text; those of text end in ``_text``."""
MOSTLY = 0.8
"""Share of a sample's rows that must have a schema's shape; the others are then that schema's bad rows."""


class Fault(Exception):  # noqa: N818  (it never leaves a format: it becomes a bad row)
    """Why a row does not fit its schema: which field, what was expected and found; ``suffix`` as in :class:`Made`."""

    def __init__(self, field: str, expected: str, found: str, suffix: str = "") -> None:
        super().__init__(field, expected, found)
        self.field, self.expected, self.found, self.suffix = field, expected, found, suffix


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One row that comes out: the canonical columns, and where one row becomes several its id and own columns."""

    canonical: dict[str, Any]
    suffix: str = ""
    own: Fields | None = None


Read = Callable[[Fields], Iterator["Made | Fault"]]
"""Reads the fields of a row; a generator, or a function that raises :class:`Fault`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """One schema as its module declares it.

    ``name`` and ``how`` make the line for people; ``fits`` says whether one row's fields have the shape (a wrong value
    deep inside may pass: then the row is bad); ``read`` makes canonical columns out of the texts of ``reads``; ``adds``
    names those that it may make;
    ``kind``, ``input`` and ``output`` are what a task of such rows usually is, ``also`` the columns of further text.
    """

    name: str
    how: str
    fits: Callable[[Fields], bool]
    read: Read
    reads: tuple[str, ...]
    adds: tuple[str, ...]
    kind: Kind = "generate"
    input: str = "{prompt}"
    output: Any = "{completion}"
    also: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A recognised schema, with the names that its canonical columns get in this source.

    ``line`` says to people what was recognised and how it is converted; ``columns`` maps canonical names to those in
    the rows. ``kind``, ``input``, ``output`` and ``also`` are the schema's, in these names.
    """

    schema: Schema
    columns: Mapping[str, str]
    line: str

    @property
    def name(self) -> str:
        """The schema's name, such as ``alpaca``."""
        return self.schema.name

    @property
    def kind(self) -> Kind:
        """The kind of task that such rows usually are."""
        return self.schema.kind

    @property
    def input(self) -> str:
        """Template of the prompt."""
        return str(self._in_names(self.schema.input))

    @property
    def output(self) -> Any:
        """Template of the answer."""
        return self._in_names(self.schema.output)

    @property
    def also(self) -> tuple[str, ...]:
        """Columns whose text belongs to the row beside prompt and answer."""
        return tuple(self.columns[name] for name in self.schema.also)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Columns that carry text, for whoever changes text: also those that the text came from.

        A text that was repaired or redacted in one place must not go on in another.
        """
        made = (name for key, name in self.columns.items() if key not in ("kto_label", "answer_start", "tools"))
        return tuple(dict.fromkeys((*made, *self.schema.reads)))

    def convert(self, row: Row) -> list[Row | Bad]:
        """The row with its canonical columns, one row per question where it holds several, or what is wrong with it."""
        made: list[Row | Bad] = []
        try:
            for item in self.schema.read(row.fields):
                if isinstance(item, Fault):
                    made.append(Bad(_named(row.id, item.suffix), item.field, item.expected, item.found))
                else:
                    made.append(self._placed(row, item))
        except Fault as fault:
            if _is_made(row.fields):
                return [row]
            made.append(Bad(row.id, fault.field, fault.expected, fault.found))
        return made

    def _placed(self, row: Row, item: Made) -> Row | Bad:
        fields = dict(row.fields if item.own is None else item.own)
        row_id = _named(row.id, item.suffix)
        for key, name in self.columns.items():
            value = item.canonical[key]
            if fields.get(name) is None:  # a null says nothing that could be lost
                fields[name] = value
            elif fields[name] != value:
                expected = f'nothing, or the {key} of the {self.name} schema: the rows before have no other "{name}"'
                return Bad(row_id, name, expected, kind_of(fields[name]))
        return Row(row_id, fields)

    def _in_names(self, template: Any) -> Any:
        if isinstance(template, dict):
            return {key: self._in_names(part) for key, part in template.items()}
        for key, name in self.columns.items():
            template = template.replace(f"{{{key}}}", f"{{{name}}}")
        return template


def _is_made(fields: Fields) -> bool:
    """Whether a row of another schema was converted before, as in a file that several were cleaned into."""
    answers = (fields.get(key) for key in ("completion", "chosen_text", "chosen"))
    asked = isinstance(fields.get("prompt"), str) and isinstance(fields.get("messages"), list)
    return asked and any(isinstance(answer, str) for answer in answers)


def _named(row_id: str, suffix: str) -> str:
    return f"{row_id}#{suffix}" if suffix else row_id


def is_mostly(sample: Sequence[Fields], fits: Callable[[Fields], bool]) -> bool:
    """Whether four of five rows or more have a shape."""
    return sum(map(fits, sample)) >= MOSTLY * len(sample) > 0


def text_of(fields: Fields, key: str, *, required: bool = True) -> str:
    """The text of a field; null and missing are "" where it is not required.

    Raises:
        Fault: when it is not text.
    """
    value = fields.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise Fault(key, "text", "nothing" if key not in fields else kind_of(value))
    return value
