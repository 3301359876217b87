"""Recognising the schema of rows by their columns and shapes, and converting a stream of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any

from hone.data.formats import chat, instructions, pieces, preferences, squad, tagged
from hone.data.formats.base import SUFFIXES, Fault, Fields, Format, Made, Schema
from hone.data.rows import Bad, Row

SAMPLE = 50
"""Rows of a file that are looked at before its schema is decided."""
_OPTIONAL = ("system", "tools")
"""Columns that are made only where a row of the sample has something to put there; it is in the prompt anyway."""

_FAMILIES: tuple[Callable[[Sequence[Fields]], Schema | None], ...] = (
    squad.schema,
    preferences.pairs,
    preferences.verdicts,
    instructions.alpaca,
    chat.schema,
    instructions.prompt_completion,
    tagged.schema,
    pieces.schema,
)
"""The particular before the general: a verdict on a conversation is a conversation too, and alpaca rows that were
converted hold messages."""


def recognise(sample: Sequence[Fields]) -> Format | None:
    """The schema that four of five rows or more have, or None: then rows are best left as they are.

    Converting converted rows changes nothing.
    """
    schema = next((found for family in _FAMILIES if (found := family(sample)) is not None), None)
    if schema is None:
        return None
    columns = _columns(schema, sample)
    return Format(schema=schema, columns=columns, line=_line(schema, columns, sample))


def converted(
    rows: Iterator[Row | Bad],
    say: Callable[[str], None],
    sample: int = SAMPLE,
    wanted: Collection[str] | None = None,
) -> Iterator[Row | Bad]:
    """Rows with the canonical columns of their schema; rows of no known schema as they are.

    Each file is recognised by itself (its rows' ids begin with its name), after at most ``sample`` rows. Lines said
    are said once.

    Args:
        rows: a stream, file after file.
        say: takes what was recognised.
        sample: rows to look at.
        wanted: columns that are needed. Where there are rows that have each of them, all are left as they are; None
            converts always.
    """
    said: set[str] = set()
    for _, group in groupby(rows, key=lambda row: row.id.rpartition(":")[0]):
        head = list(islice(group, sample))
        found = recognise([row.fields for row in head if isinstance(row, Row)])
        if found is not None and wanted is not None and not _lacks(head, wanted):
            found = None
        if found is not None and found.line not in said:
            said.add(found.line)
            say(found.line)
        for row in chain(head, group):
            if found is None or isinstance(row, Bad):
                yield row
            else:
                yield from found.convert(row)


def _lacks(rows: Sequence[Row | Bad], wanted: Collection[str]) -> bool:
    """Whether there is a wanted column that no row has."""
    there = {name for row in rows if isinstance(row, Row) for name in row.fields}
    return not there.issuperset(wanted)


def _columns(schema: Schema, sample: Sequence[Fields]) -> dict[str, str]:
    """The name of each canonical column in this source: its own, or a longer one where that is taken."""
    made = [
        (fields if item.own is None else item.own, item.canonical)
        for fields in sample
        for item in _read(schema, fields)
    ]
    columns = {}
    for key in schema.adds:
        if key in _OPTIONAL and not any(canonical[key] for _, canonical in made):
            continue
        longer = f"{key}_{SUFFIXES.get(key, 'text')}"
        names = (key, longer, *(f"{longer}_{number}" for number in range(2, 100)))
        columns[key] = next(
            name for name in names if all(_is_free(own, name, canonical[key]) for own, canonical in made)
        )
    return columns


def _read(schema: Schema, fields: Fields) -> Iterator[Made]:
    """What a row of the sample becomes; what is wrong with it is said when the row's turn comes."""
    try:
        for item in schema.read(fields):
            if isinstance(item, Made):
                yield item
    except Fault:
        return


def _is_free(own: Fields, name: str, value: Any) -> bool:
    return own.get(name) is None or own[name] == value


def _line(schema: Schema, columns: dict[str, str], sample: Sequence[Fields]) -> str:
    there = {name for fields in sample for name in fields}
    added = [name for name in columns.values() if name not in there]
    taken = [f'{name} (the rows have another "{key}")' for key, name in columns.items() if name != key]
    names = f"; adds {', '.join(added)}" if added else ""
    clash = f"; named otherwise: {', '.join(taken)}" if taken else ""
    return f"recognised as {schema.name}: {schema.how}{names}{clash}"
