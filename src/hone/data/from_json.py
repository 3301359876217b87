"""JSON Lines and JSON arrays, streamed, with the line, column, field or byte of everything that is wrong."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hone.data.opening import blocks, decode, lines, utf8_fault
from hone.data.rows import Bad, Row, kind_of
from hone.errors import InputError

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_SPACE = " \t\r\n"
_OBJECT = "an object with one key per column"


def read_json(path: Path, name: str) -> Iterator[Row | Bad]:
    """A ``.json`` file: an array of objects, or one object per line."""
    for _, _, raw in lines(path):
        start = raw.lstrip()
        if start:
            return read_array(path, name) if start.startswith(b"[") else read_lines(path, name)
    return iter(())


def read_lines(path: Path, name: str) -> Iterator[Row | Bad]:
    """JSON Lines: one object per line; lines of white space are no rows."""
    for number, offset, raw in lines(path):
        if raw.isspace():
            continue
        row_id = f"{name}:{number}"
        text = decode(raw, offset, row_id)
        yield text if isinstance(text, Bad) else _row_of_line(text, raw, offset, row_id)


def _row_of_line(text: str, raw: bytes, offset: int, row_id: str) -> Row | Bad:
    try:
        value = _DECODER.decode(text.rstrip())
    except json.JSONDecodeError as error:
        near = text[error.pos : error.pos + 20].strip()
        what = f"{error.msg.removesuffix(' at')} at column {error.colno}" + (f', near "{near}"' if near else "")
        return Bad(row_id, "", "one whole JSON object per line", what)
    except (_RefusedError, ValueError, RecursionError) as error:
        return Bad(row_id, "", "a JSON object", str(error))
    if b"\\u" in raw and (at := _lone_surrogate(text)) is not None:
        where = offset + len(text[:at].encode("utf-8"))
        return Bad(row_id, _field_with_surrogate(value), "Unicode text", f"a lone surrogate escape at byte {where:,}")
    return _row(value, row_id)


def _row(value: Any, row_id: str) -> Row | Bad:
    if not isinstance(value, dict):
        return Bad(row_id, "", _OBJECT, kind_of(value))
    return Row(row_id, value)


class _RefusedError(Exception):
    """JSON that Python would take and we do not."""


def _no_constant(name: str) -> Any:
    raise _RefusedError(f"{name}, which is not JSON")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _RefusedError(f'the key "{twice}" {keys.count(twice)} times in one object')
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_pairs)


def _lone_surrogate(text: str) -> int | None:
    """Position of the first surrogate escape in JSON text that is not half of a pair, or None."""
    high: re.Match[str] | None = None
    for match in _ESCAPE.finditer(text):
        code = int(match[1], 16) if match[1] else 0
        low = 0xDC00 <= code < 0xE000
        if high is not None and not (low and match.start() == high.end()):
            return high.start()
        if low and high is None:
            return match.start()
        high = match if 0xD800 <= code < 0xDC00 else None
    return high.start() if high is not None else None


def _field_with_surrogate(value: Any, path: str = "") -> str:
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}" if path else str(key), part) for key, part in value.items()]
    elif isinstance(value, list):
        pairs = [(path, part) for part in value]
    else:
        return path if isinstance(value, str) and not _encodable(value) else ""
    return next((found for where, part in pairs if (found := _field_with_surrogate(part, where))), "")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_array(path: Path, name: str) -> Iterator[Row | Bad]:
    """A JSON array of objects, parsed element by element; ids count the elements from 1."""
    for number, element in enumerate(_elements(path), 1):
        row_id = f"{name}:{number}"
        if isinstance(element, Bad):
            yield Bad(row_id, element.field, element.expected, element.found)
        else:
            field = _field_with_surrogate(element)
            yield Bad(row_id, field, "Unicode text", "a lone surrogate escape") if field else _row(element, row_id)


def _elements(path: Path) -> Iterator[Any]:
    """Values of the array; a :class:`Bad` (with an empty id) at the point where reading cannot go on."""
    source = _text(path)
    buffer, at = next(source).lstrip("\ufeff").lstrip(_SPACE)[1:], 0
    more, first = True, True
    while True:
        at = _skip(buffer, at)
        if at < len(buffer) and buffer[at] == "]" and first:
            return
        value, end, fault = _next_value(buffer, at)
        # Followed by nothing, a value may be cut off by the end of the buffer: read on before believing it.
        after = _skip(buffer, end) if fault is None else len(buffer)
        if more and after >= len(buffer):
            fresh, more = _fill(source, len(buffer) - at)
            buffer, at = buffer[at:] + fresh, 0
            continue
        if fault is not None:
            yield Bad("", "", "an array of JSON objects", fault)
            return
        yield value
        first = False
        if buffer[after : after + 1] != ",":
            if buffer[after : after + 1] != "]":
                yield Bad("", "", "a comma or the end of the array", f'"{buffer[after : after + 20]}" after an element')
            return
        at = after + 1


def _next_value(buffer: str, at: int) -> tuple[Any, int, str | None]:
    try:
        value, end = _DECODER.raw_decode(buffer, at)
    except json.JSONDecodeError as error:
        return None, at, f'{error.msg}, near "{buffer[error.pos : error.pos + 20]}"'
    except (_RefusedError, ValueError, RecursionError) as error:
        return None, at, str(error)
    return value, end, None


def _skip(buffer: str, at: int) -> int:
    while at < len(buffer) and buffer[at] in _SPACE:
        at += 1
    return at


def _fill(source: Iterator[str], at_least: int) -> tuple[str, bool]:
    # As much again as is waiting: a long element is tried a logarithmic number of times.
    parts: list[str] = []
    size = 0
    while size <= at_least:
        part = next(source, None)
        if part is None:
            return "".join(parts), False
        parts.append(part)
        size += len(part)
    return "".join(parts), True


def _text(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    try:
        for block in blocks(path):
            read += len(block)
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        fault = utf8_fault(error, read - len(error.object))
        raise InputError(f"{path}: expected UTF-8 text, found {fault}") from None
