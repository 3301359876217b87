"""How a row becomes a row of the text table: by the task's templates, or by what a bare file's columns suggest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hone.data.checking import input_columns, output_columns
from hone.data.columns import Column, columns_of, is_id
from hone.data.formats import Format, recognise
from hone.data.formats.pieces import repieced
from hone.data.formats.spans import respanned
from hone.data.formats.squad import is_unanswerable
from hone.data.guessing import guess_label, guess_texts
from hone.data.parts import Joined, Of
from hone.data.rows import NOT_SHOWN, Bad, Row, canonical
from hone.data.table import TextRow
from hone.errors import InputError, nearest
from hone.task.conversation import form_of
from hone.task.render import prompt_text, reference
from hone.task.spec import Task
from hone.task.templates import columns as template_columns
from hone.task.templates import fill
from hone.wording import counted

BETWEEN = "\n\n"
BETWEEN_VALUES = "\n"
_UNSAID = (
    "the text is guessed from columns whose names may be values of a row and cannot be shown; put a line of names above"
)
_OVERRIDE = "choose others with --text, --answer and --label COLUMN"
_MESSAGES = (
    (("role", "content"), ("content", "tool_calls", "function_call")),
    (("role", "tool_calls"), ("tool_calls",)),
    (("from", "value"), ("value",)),
    (("name", "arguments"), ("arguments",)),
)
"""Keys by which a message or a call is known, and those under which it says something."""
_ANSWERS = ("completion", "chosen", "rejected")
"""Canonical columns of what is answered, whatever the schema."""
_SHOWN_COLUMNS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How rows are looked at. Picklable, and :meth:`describe` is part of cache keys.

    ``kind`` a task's kind, or ``table`` where nothing is text; ``sentence`` tells people how text, input, answer and
    label are made; ``text_columns`` carry text: what transforms may change. ``input``, ``answer`` and ``label`` are
    templates (of :mod:`hone.task.templates`) or :mod:`hone.data.parts`; ``also`` are columns whose text belongs to the
    row too. ``unsaid`` are names of columns that may be values of a row, of data whose values are hidden.
    """

    kind: str
    sentence: str
    text_columns: tuple[str, ...]
    input: Any = None
    answer: Any = None
    label: Any = None
    also: tuple[str, ...] = ()
    unsaid: frozenset[str] = frozenset()

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns without which a row cannot be looked at: those of its text, and those that a template names."""
        rest = (part for part in (self.answer, self.label) if not isinstance(part, Of))
        return tuple(
            dict.fromkeys([*_named(self.input), *(name for part in rest for name in _named(part)), *self.also])
        )

    @property
    def takes(self) -> tuple[str, ...]:
        """Columns that a row may lack, as where they are null: of answer and label, and of texts that are joined."""
        joined = self.input.columns if isinstance(self.input, Joined) and not self.input.needs else ()
        return (*joined, *(part.column for part in (self.answer, self.label) if isinstance(part, Of)))

    def lacking(self, row: Row) -> Bad | None:
        """What is wrong with a row that lacks a column of its text; None with one that has them, null or not."""
        missing = [name for name in self.needs if name not in row.fields]
        joined = [part.columns for part in (self.input, self.answer) if isinstance(part, Joined)]
        missing += [name for names in joined if row.fields.keys().isdisjoint(names) for name in names]
        missing = list(dict.fromkeys(missing))
        if not missing:
            return None
        if not self.unsaid.isdisjoint(missing):
            return Bad(row.id, "", f"{counted(len(missing), 'column')} more, of names that cannot be shown", NOT_SHOWN)
        names = ", ".join(list(row.fields)[:_SHOWN_COLUMNS])
        more = len(row.fields) - _SHOWN_COLUMNS
        found = f"{names} and {more:,} more" if more > 0 else names or "no column"
        return Bad(row.id, "", f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}", found)

    def row(self, row: Row, source: str, split: str) -> TextRow:
        """One row of the text table.

        Raises:
            InputError: when the row lacks a column that a template names.
        """
        fields = row.fields
        written = canonical(fields)
        prompt = written if self.input is None else _text(self.input, fields)
        answer = None if self.answer is None else _answer(self.answer, fields)
        if answer is not None and not answer.strip() and is_unanswerable(fields):
            answer = None
        # Names of columns are no words of a row; a list of all its values is what it says.
        text = prompt if self.input is not None else BETWEEN_VALUES.join(_values(fields))
        if answer and self.kind != "extract":
            text = f"{prompt}{BETWEEN}{answer}"
        for column in self.also:
            text = f"{text}{BETWEEN}{fields[column]}"
        return TextRow(
            row=row.id,
            source=source,
            split=split,
            text=text,
            input=prompt,
            answer=answer,
            label=None if self.label is None else _label(self.label, fields),
            fields=written,
        )

    def describe(self) -> dict[str, Any]:
        """Plain values that decide what comes out."""
        values = asdict(self)
        del values["unsaid"]
        return values


def view_of_task(task: Task) -> View:
    """The view of a task's templates.

    classify: text is the prompt; extract: text is the prompt, the answer canonical JSON; generate: text is prompt and
    answer; language-model: text is the document.
    """
    answers = output_columns(task)
    prompts = [] if task.kind == "language-model" else input_columns(task)
    carry = prompts if task.kind == "classify" else [*prompts, *answers]
    columns = tuple(dict.fromkeys(name for name in carry if task.kind != "classify" or name not in answers))
    if task.kind == "language-model":
        sentence = f"text = {task.output} (documents)"
        return View(kind=task.kind, sentence=sentence, text_columns=columns, input=task.output)
    prompt = task.prompt_template
    if task.conversation is not None:
        sentence = f"input = the turns of {task.conversation} before the last, answer = the last, text = both"
        return View(kind=task.kind, sentence=sentence, text_columns=columns, input=prompt, answer=prompt)
    shown = " / ".join(turn["content"] for turn in prompt) if isinstance(prompt, list) else prompt
    if task.kind == "classify":
        sentence = f"text = {shown}, label = {task.output}"
        return View(kind=task.kind, sentence=sentence, text_columns=columns, input=prompt, label=task.output)
    whole = "text = input" if task.kind == "extract" else "text = input and answer"
    sentence = f"input = {shown}, answer = {_shown(task.output)}, {whole}"
    return View(kind=task.kind, sentence=sentence, text_columns=columns, input=prompt, answer=task.output)


def view_of_rows(
    sample: Sequence[Row],
    *,
    text: str = "",
    answer: str = "",
    label: str = "",
    alone: bool = False,
    unsaid: frozenset[str] = frozenset(),
) -> View:
    """The view of rows without a task: of their schema, or what their columns' names and values suggest.

    Args:
        sample: some rows, as :func:`hone.data.formats.converted` gives them.
        text: column of the text (or prompt), instead of the one that suggests itself.
        answer: column of the answer.
        label: column of the label.
        alone: see :func:`hone.data.guessing.guess_texts`.
        unsaid: names of columns that may be values of a row and are not said.

    Raises:
        InputError: for a column that no row of the sample has.
    """
    columns = columns_of(sample)
    names = [column.name for column in columns]
    given = {"text": text, "answer": answer, "label": label}
    said = [name for name in names if name not in unsaid]
    hint = f" (columns: {', '.join(said)})" if said else "its names of columns cannot be shown"
    problems = [
        f'{option} names the column "{name}", which the data has not; {nearest(name, said) if said else ""}{hint}'
        for option, name in given.items()
        if name and name not in names
    ]
    if problems:
        raise InputError(problems)
    found = None if any(given.values()) else recognise([row.fields for row in sample])
    if found is not None and set(names).issuperset(found.columns.values()):
        view = _of_format(found)
        return _of_formats(view, found, names) if any(view.lacking(row) for row in sample) else view
    view = _of_columns(columns, len(sample), given, alone)
    return replace(view, sentence=_UNSAID, unsaid=unsaid) if unsaid else view


def transformed(fields: Mapping[str, Any], apply: Callable[[str], str], columns: Sequence[str]) -> dict[str, Any]:
    """A row's fields with a function applied to every text of some columns.

    Texts inside objects and lists count; of a message only what is said is changed and the arguments of calls, never
    roles, names and ids. A text that stands in several places is changed once. Starts of answers in their context go
    along (:func:`~hone.data.formats.spans.respanned`), and so do the pieces of a sentence
    (:func:`~hone.data.formats.pieces.repieced`). The same dict comes back where nothing changes.
    """
    known: dict[str, str] = {}

    def once(text: str) -> str:
        if text not in known:
            known[text] = apply(text)
        return known[text]

    changed = {}
    for column in columns:
        if column in fields:
            value = fields[column]
            new = _applied(value, once)
            if new is not value:
                changed[column] = new
    if not changed and isinstance(fields, dict):
        return fields
    return repieced(fields, respanned(fields, {**fields, **changed}, once), once)


def _named(part: Any) -> list[str]:
    """The columns that a part of a view names."""
    if isinstance(part, Of):
        return [part.column]
    if isinstance(part, Joined):
        return list(part.needs)
    turns = [turn["content"] for turn in part] if isinstance(part, list) else None
    return template_columns(part if turns is None else turns)


def _text(part: Any, fields: Mapping[str, Any]) -> str:
    return part(fields) if isinstance(part, Of | Joined) else prompt_text(part, fields)


def _label(part: Any, fields: Mapping[str, Any]) -> str | None:
    text = _text(part, fields)
    return None if isinstance(part, Of) and part.blank_is_none and not text.strip() else text


def _answer(part: Any, fields: Mapping[str, Any]) -> str | None:
    if isinstance(part, Of):
        return part(fields) if fields.get(part.column) is not None else None
    if isinstance(part, Joined):
        return part(fields)
    if form_of(part) is not None:
        return str(reference("generate", part, fields))
    value = fill(part, fields)
    return canonical(value) if isinstance(part, dict) else str(value)


def _values(value: Any) -> Iterator[str]:
    """The values in a row one after the other, without names, nulls and empty texts."""
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _values(part)
    elif value is not None and value != "":
        yield value if isinstance(value, str) else canonical(value)


def _applied(value: Any, apply: Callable[[str], str]) -> Any:
    """The value with its texts changed; the very same object where none changes."""
    if isinstance(value, str):
        new = apply(value)
        return value if new == value else new
    if isinstance(value, list):
        items = [_applied(item, apply) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        said = _said(value)
        if said is not None and value.get("from") == "function_call":
            return _applied_to_call(value, apply)
        made = {key: _applied(part, apply) if said is None or key in said else part for key, part in value.items()}
        return made if any(made[key] is not part for key, part in value.items()) else value
    return value


def _said(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The keys of a message (or of a part or call of one) that hold what is said; None for any other object."""
    for keys, said in _MESSAGES:
        if all(key in value for key in keys):
            return said
    if isinstance(value.get("function"), dict):
        return ("function",)
    return ("text",) if value.get("type") == "text" and "text" in value else None


def _applied_to_call(turn: dict[str, Any], apply: Callable[[str], str]) -> dict[str, Any]:
    """ShareGPT's call is JSON in a text: what it says is changed, and it stays JSON."""
    try:
        call = json.loads(turn["value"])
    except (TypeError, ValueError, RecursionError):
        return turn
    new = _applied(call, apply)
    return turn if new is call else {**turn, "value": json.dumps(new, ensure_ascii=False)}


def _of_format(found: Format) -> View:
    labelled = found.kind == "classify"
    more = "".join(f" and {{{column}}}" for column in found.also)
    parts = f"text = {found.input}" if labelled else f"input = {found.input}, answer = {_shown(found.output)}"
    rest = (
        f"label = {found.output}" if labelled else "text = input" + (" and answer" * (found.kind != "extract")) + more
    )
    shown = f"{parts}, {rest}".replace(BETWEEN, " ")
    return View(
        kind=found.kind,
        sentence=f"{found.name}: {shown}; {_OVERRIDE}",
        text_columns=found.text_columns,
        input=_with_tools(found),
        answer=None if labelled else found.output,
        label=found.output if labelled else None,
        also=found.also,
    )


def _with_tools(found: Format) -> Any:
    """The template of the prompt; where tools stand in it, a row may have none."""
    tools = found.columns.get("tools")
    if tools is None or f"{{{tools}}}" not in found.input:
        return found.input
    prompt = found.columns["prompt"]
    return Joined(columns=(tools, prompt), needs=(prompt,), between=BETWEEN)


def _of_formats(view: View, found: Format, names: Sequence[str]) -> View:
    """The view of rows of several schemas: each row's answer is what its own schema calls so."""
    if found.kind != "generate":
        return view
    longer = {key: f"{key}_text" for key in _ANSWERS if f"{key}_text" in names}
    answers = tuple(dict.fromkeys(longer.get(key, key) for key in _ANSWERS if longer.get(key, key) in names))
    sentence = (
        f"rows of several schemas, most of them {found.name}: input = {found.input}, answer = {' or '.join(answers)}, "
        f"text = input and answer; {_OVERRIDE}"
    ).replace(BETWEEN, " ")
    text_columns = tuple(dict.fromkeys((*view.text_columns, *answers)))
    joined = Joined(columns=answers, between=BETWEEN)
    return replace(view, sentence=sentence, text_columns=text_columns, answer=joined, also=())


def _of_columns(columns: Sequence[Column], num_rows: int, given: Mapping[str, str], alone: bool) -> View:
    label, why_label = guess_label(columns, num_rows, given)
    found = guess_texts(columns, num_rows, given, label, alone=alone)
    if not found.prompt and label and not given["label"]:  # a label of nothing: it is what there is to read
        label, why_label = "", ""
        found = guess_texts(columns, num_rows, given, label, alone=alone)
    if not found.prompt:
        carry = tuple(column.name for column in columns if column.kind != "number" and not is_id(column))
        none = found.why or "no column holds text"
        why = f"a table: {none}, so the text is a row's values without their names; {_OVERRIDE}"
        return View(kind="table", sentence=why, text_columns=carry)
    kind = "generate" if found.answer else "classify" if label else "language-model"
    joined = len(found.prompt) > 1
    return View(
        kind=kind,
        sentence=f"{found.why}{why_label}; {_OVERRIDE}",
        text_columns=(*found.prompt, found.answer) if found.answer else found.prompt,
        input=Joined(columns=found.prompt) if joined else Of(column=found.prompt[0]),
        answer=Of(column=found.answer) if found.answer else None,
        label=Of(column=label, blank_is_none=not given["label"]) if label else None,
    )


def _shown(template: Any) -> str:
    if isinstance(template, dict):
        return "{" + ", ".join(f"{key}: {_shown(part)}" for key, part in template.items()) + "}"
    return str(template)
