"""Templates of one row: ``"{text}"``, ``"{first} and {second}"``, or an object of such strings.

A template comes from ``hone.yaml`` only. The row's own text is put in as it is and never read as a
template, so braces in the data are plain characters.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from hone.errors import InputError, nearest


@lru_cache(maxsize=256)
def parts(template: str) -> tuple[tuple[str, str | None], ...]:
    """Split a template into ``(literal, column or None)`` pieces; ``{{`` and ``}}`` are literal braces.

    Raises:
        ValueError: for unbalanced braces, an empty ``{}``, a format or a conversion.
    """
    pieces: list[tuple[str, str | None]] = []
    for literal, column, form, conversion in string.Formatter().parse(template):
        if column is None:
            pieces.append((literal, None))
            continue
        if column == "":
            raise ValueError(f'"{template}" has an empty {{}}; name a column, such as {{text}}')
        if form or conversion:
            raise ValueError(f'"{template}": formats and conversions are not supported; write {{{column}}}')
        pieces.append((literal, column))
    return tuple(pieces)


def template_problems(part: Any) -> list[str]:
    """Sentences on everything wrong with a template or an object of templates."""
    problems = []
    for text in _strings(part):
        try:
            parts(text)
        except ValueError as error:
            problems.append(f'template "{text}": {error}')
    return problems


def columns(part: Any) -> list[str]:
    """Columns that a template (or an object or list of templates) takes from a row, in order, once each."""
    found = [column for text in _strings(part) for _, column in parts(text) if column is not None]
    return list(dict.fromkeys(found))


def fill(part: Any, fields: Mapping[str, Any]) -> Any:
    """Put a row's values into a template.

    A string that is exactly one ``{column}`` gives the column's value as it is (an object, a list, a
    number); anything else gives text.
    """
    if isinstance(part, dict):
        return {key: fill(value, fields) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [fill(value, fields) for value in part]
    if not isinstance(part, str):
        return part
    pieces = parts(part)
    if len(pieces) == 1 and pieces[0][0] == "" and pieces[0][1] is not None:
        return _field(fields, pieces[0][1])
    return "".join(literal + ("" if column is None else _text(_field(fields, column))) for literal, column in pieces)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _field(fields: Mapping[str, Any], column: str) -> Any:
    try:
        return fields[column]
    except KeyError:
        raise InputError(f'the row has no column "{column}"; {nearest(column, sorted(map(str, fields)))}') from None


def _strings(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _strings(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _strings(value)
