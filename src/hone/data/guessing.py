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
from hone.data.wording import counted

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
_FEW_ROWS = 20
"""With fewer rows a label may be another one in each."""
_SOME = 5
"""A column that one row in so many has is a text where no column is in half of them."""
_MOSTLY = 0.5
"""A column of fewer distinct values for its rows tells few of them apart."""
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
            refused = refused or f', no label ("{column.name}" {fault}; --label takes it all the same)'
    several = [c for c in free if has_few_values(c, num_rows) and c.whole and c.mean_chars <= LONGEST_LABEL]
    texts = {name for names in TEXT_NAMES for name in names}
    names = _named([c.name for c in several if not is_beside(c) and folded(c.name) not in texts])
    return "", refused or (f", no label (none is named so; of few values: {names})" if names else "")


def _no_label(column: Column, num_rows: int) -> str:
    """Why a column that is named so is no label; nothing where it is one."""
    several = folded(column.name) in _ALSO_ANSWERS
    if not column.filled:
        return f"is empty in the first {counted(num_rows, 'row')}"
    if column.kind == "object":
        return "holds lists or objects"
    if not column.whole:
        return "holds numbers with decimals"
    if column.mean_chars > LONGEST_LABEL:
        return f"holds texts of {column.mean_chars:,.0f} characters on average"
    if column.distinct > _REPEATED * column.filled and (several or column.filled >= _FEW_ROWS):
        return f"has {column.distinct:,} distinct values in {counted(column.filled, 'row')}"
    return "has one value" if several and column.distinct < 2 else ""


def _about(column: Column, num_rows: int) -> str:
    values = counted(column.distinct, "distinct value")
    mixed = f", {' and '.join(column.kinds)} mixed" if len(column.kinds) > 1 else ""
    without = num_rows - column.filled
    lacking = f"; {without:,} of them {'has' if without == 1 else 'have'} none, which removes no row" if without else ""
    return f"{values}{mixed} in the first {counted(num_rows, 'row')}{lacking}"


def guess_texts(columns: Sequence[Column], num_rows: int, given: Mapping[str, str], label: str) -> Texts:
    """The columns of prompt and answer, out of the first ``num_rows`` rows."""
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
    if _is_half(named, left, num_rows):
        named = ()
    found = Texts(prompt=named, why=f"text = {_named(named)} (by {'their names' if len(named) > 1 else 'its name'})")
    if not named:
        found = _by_length(columns, left, num_rows, label)
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


def _is_half(named: Sequence[str], left: Sequence[Column], num_rows: int) -> bool:
    """Whether rows hold further texts beside what is asked, which tell them apart."""
    if len(named) != 1 or folded(named[0]) not in _ASKING:
        return False
    others = [c for c in left if c.name not in named and not is_beside(c) and not c.numeric]
    return any(c.distinct > _MOSTLY * c.filled and c.distinct > 1 and _is_common(c.filled, num_rows) for c in others)


def _by_length(columns: Sequence[Column], left: Sequence[Column], num_rows: int, label: str) -> Texts:
    """All columns of text that differ between rows: none of them alone, which rows may share that are no duplicates."""
    content = [column for column in left if not is_beside(column) and not column.numeric]
    common = [c for c in content if _is_common(c.filled, num_rows)]
    common = common or [c for c in content if c.filled * _SOME >= num_rows]
    texts = [column for column in common if column.distinct > 1 or column.filled < num_rows] or common
    if not texts:
        return Texts()
    names = tuple(column.name for column in texts)
    differing = [c for c in columns if c.distinct > 1 and not is_id(c) and not is_beside(c)]
    others = [column.name for column in differing if column.name not in (*names, label)]
    if others and all(column.distinct <= column.filled * _MOSTLY for column in texts):
        return Texts(why=f"the columns of text repeat in rows that differ elsewhere ({_named(others)})")
    chars = sum(column.mean_chars * column.filled for column in texts) / num_rows
    mean = f"{chars:,.0f} characters on average in the first {counted(num_rows, 'row')}"
    if len(texts) == 1:
        return Texts(prompt=names, why=f"text = {_named(names)} (the only column of text, {mean})")
    why = f"text = {_named(names)} joined (no name says which of them is the text; {mean})"
    return Texts(prompt=names, why=why)


def _is_common(rows: int, num_rows: int) -> bool:
    return 2 * rows >= num_rows


def _named(names: Sequence[str]) -> str:
    """Columns in a sentence, the first few of many."""
    quoted = [f'"{name}"' for name in names]
    if len(quoted) > _SHOWN_COLUMNS:
        quoted[_SHOWN_COLUMNS:] = [f"{len(names) - _SHOWN_COLUMNS:,} more"]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
