"""JSON values read exactly: whatever two readers could understand differently is refused and named.

The fast way (:func:`parse_all`) is orjson over many values; it answers only where it would say the same. Both refuse
NaN and infinities, half surrogate pairs and bytes that are no UTF-8. orjson alone keeps the last of two equal keys and
turns whole numbers beyond 64 bits into floats, so keys are counted, and large floats are read again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson

from hone.data.readers.json_structure import most_keys, number_of_keys
from hone.data.readers.progress import Progress
from hone.data.readers.utf8 import to_text, utf8_fault
from hone.data.rows import Bad, Row, kind_of

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_OBJECT = "an object with one key per column"
_BEYOND_INTEGERS = 2.0**63
_DEEPEST = 100  # levels; the json module has its own limit, and what it cannot write again is refused there


def parse_all(values: Sequence[bytes], joined: bytes) -> list[dict[str, Any]] | None:
    """JSON objects, each from bytes of its own, or None where one of them has to be read exactly.

    Args:
        values: bytes of one JSON value each.
        joined: the same with anything but colons and quotes between them.
    """
    try:
        rows = list(map(orjson.loads, values))
    except orjson.JSONDecodeError:
        return None
    return rows if is_exact(rows, joined) else None


def parse_list(content: bytes) -> list[Any] | None:
    """The values of a JSON array from what stands between its brackets, or None where it has to be read exactly."""
    try:
        rows: list[Any] = orjson.loads(b"[" + content + b"]")
    except orjson.JSONDecodeError:
        return None
    return rows if is_exact(rows, content) else None


def is_exact(rows: Sequence[Any], data: bytes) -> bool:
    """Whether rows that orjson parsed from ``data`` are objects in which no key and no digit was lost."""
    if set(map(type, rows)) - {dict}:
        return False
    num_keys, depth, part = 0, 0, list(rows)
    while part:
        depth += 1
        if depth > _DEEPEST:
            return False
        dicts = [value for value in part if type(value) is dict]
        num_keys += sum(map(len, dicts))
        values = chain.from_iterable(map(dict.values, dicts))
        if len(dicts) < len(part):
            values = chain(values, chain.from_iterable(value for value in part if type(value) is list))
        # Most values are text, and only the others are looked at.
        part = [value for value in values if type(value) is not str and type(value) is not int]
        if any(type(value) is float and abs(value) >= _BEYOND_INTEGERS for value in part):
            return False
        part = [value for value in part if type(value) is dict or type(value) is list]
    return num_keys == most_keys(data) or num_keys == number_of_keys(data)


def parse_exactly(raw: bytes, offset: int, row_id: str, progress: Progress) -> Row | Bad:
    """One row from the bytes of one JSON value that starts at ``offset`` of the file."""
    try:
        text = to_text(raw, progress)
    except UnicodeDecodeError as error:
        return Bad(row_id, "", "UTF-8 text", utf8_fault(error, offset))
    try:
        value = DECODER.decode(text.rstrip())
    except json.JSONDecodeError as error:
        return Bad(row_id, "", "one whole JSON object per line", syntax_fault(error, text))
    except (RefusedError, ValueError, RecursionError) as error:
        return Bad(row_id, "", "a JSON object", str(error))
    if b"\\u" in raw and (at := _lone_surrogate(text)) is not None:
        where = offset + len(text[:at].encode("utf-8"))
        return Bad(row_id, _field_with_surrogate(value), "Unicode text", f"a lone surrogate escape at byte {where:,}")
    return Row(row_id, value) if isinstance(value, dict) else Bad(row_id, "", _OBJECT, kind_of(value))


def syntax_fault(error: json.JSONDecodeError, text: str) -> str:
    """What the parser found, at which column, near which text."""
    near = text[error.pos : error.pos + 20].strip()
    return f"{error.msg.removesuffix(' at')} at column {error.colno}" + (f', near "{near}"' if near else "")


class RefusedError(Exception):
    """JSON that Python would take and hone does not."""


def _no_constant(name: str) -> Any:
    raise RefusedError(f"{name}, which is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise RefusedError(f"the number {digits[:40]}, which is too large")
    return number


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RefusedError(f'the key "{twice}" {keys.count(twice)} times in one object')
    return found


DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_pairs)


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
