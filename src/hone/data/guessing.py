"""Which columns of rows without a task are prompt, answer and label. Every guess is said, and none may cost a row.

A label is known by its name alone. A text is known by its name, or is all columns of text together: rows that are
different somewhere are then no duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hone.data.columns import (
    ANSWER_NAMES,
    INPUT_NAMES,
    LABEL_NAMES,
    LONGEST_LABEL,
    Column,
    first_named,
    folded,
    has_few_values,
    is_beside,
    is_id,
)
from hone.wording import counted

TEXT_NAMES = (
    ("text",),
    ("premise", "hypothesis"),
    *((f"{name}{joint}{one}", f"{name}{joint}{two}")
      for name in ("sentence", "text", "question") for joint in ("", "_") for one, two in (("1", "2"), ("a", "b"))),
    ("sentence_good", "sentence_bad"),
    ("anchor", "positive", "negative"),
    ("prompt",),
    *((text, asked) for text in ("context", "passage", "document", "paragraph") for asked in ("question", "query")),
    ("instruction", "input"),
    ("question", "sentence"),
    *((head, body) for head in ("title", "subject", "headline")
      for body in ("body", "content", "message", "description", "abstract", "review")),
    ("input",), ("question",), ("sentence",), ("utterance",), ("query",), ("request",), ("instruction",), ("message",),
    ("content",), ("body",), ("document",), ("review",), ("comment",), ("tweet",), ("post",), ("article",),
    ("passage",),
)  # fmt: skip
"""Names that say what the text is, those that belong together together; the earliest of which all are there counts."""
_ASKING = ("prompt", "input", "question", "sentence", "query", "request", "instruction")
"""Names of what may be half of a row: a question with some answers, whose columns may have any name."""
_ALSO_ANSWERS = ("target", "output", "answer")
"""Names of labels that texts may have as well: only columns of few values are taken for labels."""
_REPEATED = 0.8
"""Most distinct values of a label, as a share of its rows."""
_LARGEST_OBJECT = 1_000
"""Characters of JSON, on average: what is larger is seldom said by a person, but numbers made of a text."""
_SHOWN_COLUMNS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """Columns of the prompt (none: there is no text), that of the answer ("": none), and a sentence's beginning."""

    prompt: tuple[str, ...] = ()
    answer: str = ""
    why: str = ""


def guess_label(columns: Sequence[Column], num_rows: int, given: Mapping[str, str]) -> tuple[str, str]:
    """The column of the label, and the end of a sentence on it; ``num_rows`` are those looked at, the first ones."""
    if given["label"]:
        return given["label"], f', label = "{given["label"]}" (as given)'
    free = [column for column in columns if column.name not in given.values() and not is_id(column)]
    refused = ""
    for name in LABEL_NAMES:
        column = first_named(free, [name])
        if column is None:
            continue
        fault = _no_label(column, num_rows)
        if not fault:
            return column.name, f', label = "{column.name}" ({_about(column, num_rows)})'
        if name not in _ALSO_ANSWERS:
            way = "; --label takes it all the same" if column.filled else ""
            refused = refused or f', no label ("{column.name}" {fault}{way})'
    several = [c for c in free if has_few_values(c, num_rows) and c.whole and c.mean_chars <= LONGEST_LABEL]
    texts = {name for names in TEXT_NAMES for name in names}
    names = _named([c.name for c in several if not is_beside(c) and folded(c.name) not in texts])
    return "", refused or (f", no label (none is named so; of few values: {names})" if names else "")


def _no_label(column: Column, num_rows: int) -> str:
    """Why a column that is named so is no label; nothing where it is one."""
    if not column.filled:
        return f"is empty in the first {counted(num_rows, 'row')}"
    if column.kind == "object":
        return "holds lists or objects"
    if not column.whole:
        return "holds numbers with decimals"
    if column.mean_chars > LONGEST_LABEL:
        return f"holds texts of {column.mean_chars:,.0f} characters on average"
    repeats = 2 <= column.distinct <= _REPEATED * column.filled
    return "is no column of few values" if folded(column.name) in _ALSO_ANSWERS and not repeats else ""


def _about(column: Column, num_rows: int) -> str:
    values = counted(column.distinct, "distinct value")
    mixed = f", {' and '.join(column.kinds)} mixed" if len(column.kinds) > 1 else ""
    without = num_rows - column.filled
    lacking = f"; {without:,} of them {'has' if without == 1 else 'have'} none, which removes no row" if without else ""
    return f"{values}{mixed} in the first {counted(num_rows, 'row')}{lacking}"


def guess_texts(
    columns: Sequence[Column], num_rows: int, given: Mapping[str, str], label: str, *, alone: bool = False
) -> Texts:
    """The columns of prompt and answer, out of the first ``num_rows`` rows.

    ``alone``: of texts that no name tells, the longest, for rows that are looked for in those of another file.
    """
    texts = [c for c in columns if c.kind == "text" and c.filled and not is_id(c) and c.name != label]
    left = [column for column in texts if column.name not in given.values()]
    named_answer = None if given["answer"] or given["text"] else first_named(left, ANSWER_NAMES)
    answer = given["answer"] or (named_answer.name if named_answer is not None else "")
    if given["text"]:
        why = f'text = "{given["text"]}" (as given)'
        return Texts(
            prompt=(given["text"],), answer=answer, why=why + (f', answer = "{answer}" (as given)' * bool(answer))
        )
    named = named_texts([column for column in left if column.name != answer and _is_common(column.present, num_rows)])
    if named_answer is not None:
        one = first_named([column for column in left if column is not named_answer], INPUT_NAMES)
        prompt = named or ((one.name,) if one is not None else ())
        if prompt:
            why = f'input = {_named(prompt)}, answer = "{answer}" (by their names), text = both'
            return Texts(prompt=prompt, answer=answer, why=why)
        answer = ""
    if not alone and _is_half(named, _parts(columns, num_rows, (label, *given.values()))):
        named = ()
    found = Texts(prompt=named, why=f"text = {_named(named)} (by {'their names' if len(named) > 1 else 'its name'})")
    if not named:
        found = _by_length(columns, num_rows, (label, *given.values()), alone=alone)
        empty = named_texts(
            [c for c in columns if not c.filled and c.name != answer and _is_common(c.present, num_rows)]
        )
        if empty and not found.prompt:
            found = Texts(prompt=empty, why=f"text = {_named(empty)} (by name, without any text in the first rows)")
    if answer and found.prompt:
        return Texts(prompt=found.prompt, answer=answer, why=f'{found.why}, answer = "{answer}" (as given)')
    return found


def named_texts(columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns whose names say that they are the text, those together that belong together; none without any."""
    by_name = {folded(column.name): column.name for column in columns}
    found = next((names for names in TEXT_NAMES if by_name.keys() >= set(names)), ())
    return tuple(by_name[name] for name in found)


def _is_half(named: Sequence[str], parts: Sequence[Column]) -> bool:
    """Whether rows hold anything beside what is asked, be it one word or a number, that tells them apart."""
    asks = len(named) == 1 and folded(named[0]) in _ASKING
    return asks and any(column.name not in named for column in parts)


def _parts(columns: Sequence[Column], num_rows: int, taken: Sequence[str]) -> list[Column]:
    """Columns that differ between rows, and are what rows say."""
    return [c for c in _content(columns, taken) if c.distinct > 1 or c.filled < num_rows]


def _content(columns: Sequence[Column], taken: Sequence[str]) -> list[Column]:
    said = [c for c in columns if c.filled and not is_id(c) and not is_beside(c) and c.name not in taken]
    return [column for column in said if column.kind != "object" or column.mean_chars <= _LARGEST_OBJECT]


def _by_length(columns: Sequence[Column], num_rows: int, taken: Sequence[str], *, alone: bool) -> Texts:
    """All that differs between rows: of a part of it alone rows may be the same that are no duplicates.

    What decides is not how often something repeats: rows that were cleaned are guessed as before.
    """
    parts = _parts(columns, num_rows, taken) or [column for column in _content(columns, taken) if _is_text(column)]
    if not any(map(_is_text, parts)):
        return Texts()
    if alone:
        longest = max(filter(_is_text, parts), key=lambda column: column.mean_chars)
        return Texts(prompt=(longest.name,), why=f'text = "{longest.name}" (the longest text)')
    chars = sum(column.mean_chars * column.filled for column in parts) / num_rows
    mean = f"{counted(round(chars), 'character')} on average in the first {counted(num_rows, 'row')}"
    names = tuple(column.name for column in parts)
    which = "joined (no name says which of them is the text" if len(names) > 1 else "(the only column of text"
    return Texts(prompt=names, why=f"text = {_named(names)} {which}; {mean})")


def _is_text(column: Column) -> bool:
    return column.kind == "text" and not column.numeric


def _is_common(rows: int, num_rows: int) -> bool:
    return 2 * rows >= num_rows


def _named(names: Sequence[str]) -> str:
    """Columns in a sentence, the first few of many."""
    quoted = [f'"{name}"' for name in names]
    if len(quoted) > _SHOWN_COLUMNS:
        quoted[_SHOWN_COLUMNS:] = [f"{len(names) - _SHOWN_COLUMNS:,} more"]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
