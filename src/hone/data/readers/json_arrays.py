"""JSON arrays, and objects of which one value is an array of objects, parsed some elements at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hone.data.readers.json_exact import DECODER, RefusedError, parse_exactly, parse_list
from hone.data.readers.json_lines import read_lines
from hone.data.readers.json_structure import top_level
from hone.data.readers.opening import LONGEST_ROW_BYTES, DataFile
from hone.data.readers.progress import Progress
from hone.data.readers.window import SPACE, Window
from hone.data.rows import Bad, Row
from hone.errors import InputError, nearest

_KEY = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_LOOK_BYTES = 1 << 20
_LONGEST_KEY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Part:
    """Some members of an array or object: their bytes, the commas between them, whether the closing bracket follows."""

    content: bytes
    commas: tuple[int, ...]
    last: bool
    line: int
    offset: int


def read_json(file: DataFile, progress: Progress) -> Iterator[Row | Bad]:
    """A ``.json`` file: an array of objects, an object that holds one, or one object per line.

    Of an object such as ``{"version": "2.0", "data": [{...}, ...]}`` the rows are the elements of that array; where
    there are several, the source names one (``file.json:data``). Ids count the elements from 1.

    Raises:
        InputError: for damage behind which nothing can be read, with line and byte; for several arrays, naming them.
    """
    window = Window(file, progress)
    first = window.peek()
    if first == b"[" and not file.part:
        window.drop(1)
        yield from _elements(window, progress)
        if window.peek():
            raise window.fault("nothing after the array")
    elif first == b"{" and (file.part or (shape := _shape(window)) == "arrays"):
        yield from _object(window, progress)
    elif file.part:
        raise InputError(f'{file}: has no key "{file.part}", because it is not one JSON object')
    elif first == b"{" and shape == "row":
        yield parse_exactly(window.data, window.offset, f"{file.name}:1", progress)
    elif first:
        yield from read_lines(file, progress)


def _shape(window: Window) -> Literal["lines", "row", "arrays"]:
    """What begins with an object: one per line when something follows it, else one row or an object of arrays."""
    while True:
        _, end = top_level(window.data[1:])
        if end >= 0:
            while not (rest := window.data[end + 2 :].lstrip(SPACE)) and window.grow():
                pass
            return "lines" if rest else "arrays" if _holds_array(window.data[: end + 2]) else "row"
        if len(window.data) > _LOOK_BYTES or not window.grow():
            return "arrays"


def _holds_array(raw: bytes) -> bool:
    """Whether an object has a value that is an array of objects; a single object without one is one row."""
    try:
        value = json.loads(raw)
    except ValueError:
        return True
    return any(isinstance(part, list) and part and isinstance(part[0], dict) for part in value.values())


def _object(window: Window, progress: Progress) -> Iterator[Row | Bad]:
    file, found, read = window.file, list[str](), ""
    window.drop(1)
    while window.peek() != b"}":
        key = _key(window)
        if window.peek() != b"[" or not _begins_with_object(window):
            _skip(window)
        elif file.part in ("", key) and not read:
            found.append(key)
            read = key
            progress.note_at("the rows are the elements of one array", f'"{key}" of {file.name}')
            window.drop(1)
            yield from _elements(window, progress)
        else:
            found.append(key)
            _skip(window)
        if window.peek() == b",":
            window.drop(1)
            if window.peek() == b"}":
                raise window.fault("a key after the comma")
        elif window.peek() != b"}":
            raise window.fault("a comma or the end of the object")
    window.drop(1)
    if window.peek():
        raise window.fault("nothing after the object (the suffix of one object per line is .jsonl)")
    _check_arrays(file, found)


def _check_arrays(file: DataFile, found: list[str]) -> None:
    if file.part and file.part not in found:
        raise InputError(f'{file}: has no array of objects "{file.part}"; {nearest(file.part, found)}')
    if not file.part and not found:
        raise InputError(f"{file}: a JSON object of which no value is an array of objects; expected rows")
    if not file.part and len(found) > 1:
        raise InputError(
            f"{file}: has {len(found)} arrays of objects ({', '.join(found)}); name one after a colon: "
            f"{file.name}:{found[0]}"
        )


def _key(window: Window) -> str:
    while (match := _KEY.match(window.data)) is None or match.end() == len(window.data):
        if len(window.data) > _LONGEST_KEY_BYTES or not window.grow():
            raise window.fault("a key and a colon")
    try:
        key: str = json.loads(match[1])
    except ValueError:
        raise window.fault("a key in quotes") from None
    window.drop(match.end())
    return key


def _begins_with_object(window: Window) -> bool:
    while not (rest := window.data[1:].lstrip(SPACE)) and window.grow():
        pass
    return rest.startswith(b"{")


def _skip(window: Window) -> None:
    """Go behind a value that is not read; of arrays and objects only the brackets are looked at."""
    if window.peek() in (b"[", b"{"):
        window.drop(1)
        for _ in _parts(window):
            pass
        return
    while True:
        commas, end = top_level(window.data)
        stop = int(commas[0]) if len(commas) else end
        if stop >= 0:
            break
        if len(window.data) > LONGEST_ROW_BYTES or not window.grow():
            raise window.fault("the end of a value")
    try:
        DECODER.decode(window.data[:stop].decode("utf-8"))
    except (ValueError, RefusedError):
        raise window.fault("a JSON value") from None
    window.drop(stop)


def _parts(window: Window) -> Iterator[_Part]:
    """The content of the array or object that the window stands in, up to its closing bracket, in bounded parts."""
    while True:
        commas, end = top_level(window.data)
        cut = end if end >= 0 else int(commas[-1]) if len(commas) else -1
        if cut >= 0:
            inner = tuple(commas.tolist() if end >= 0 else commas[:-1].tolist())
            part = _Part(window.data[:cut], inner, end >= 0, window.line, window.offset)
            window.drop(cut + 1)
            yield part
            if end >= 0:
                return
        if len(window.data) > LONGEST_ROW_BYTES or not window.grow():
            at = _where_it_breaks(window.data)
            raise window.fault(f"an element of at most {LONGEST_ROW_BYTES >> 20} MiB and the end of the array", at)


def _where_it_breaks(data: bytes) -> int:
    try:
        DECODER.raw_decode(data.decode("utf-8", "replace").lstrip())
    except json.JSONDecodeError as error:
        return len(data) - len(data.lstrip()) + error.pos
    except (RefusedError, ValueError, RecursionError):
        return 0
    return len(data)


def _elements(window: Window, progress: Progress) -> Iterator[Row | Bad]:
    name, number = window.file.name, 0
    for part in _parts(window):
        rows = parse_list(part.content)
        empty = part.last and number == 0 and not part.content.strip(SPACE)
        if empty:
            return
        if rows is not None and len(rows) == len(part.commas) + 1:
            for place, fields in enumerate(rows, number + 1):
                yield Row(f"{name}:{place}", fields)
            number += len(rows)
            continue
        for row in _one_by_one(window.file, part, number, progress):
            number += 1
            yield row


def _one_by_one(file: DataFile, part: _Part, number: int, progress: Progress) -> Iterator[Row | Bad]:
    start = 0
    for end in (*part.commas, len(part.content)):
        number += 1
        raw = part.content[start:end]
        row = parse_exactly(raw.rstrip(SPACE), part.offset + start, f"{file.name}:{number}", progress)
        if isinstance(row, Bad) and row.expected.startswith("one whole JSON"):
            # The marks between elements can no longer be trusted behind a fault of syntax.
            line = part.line + part.content.count(b"\n", 0, start + len(raw) - len(raw.lstrip(SPACE)))
            raise InputError(
                f"{file}:{line}: element {number:,} of the array, which starts at byte {part.offset + start:,}: "
                f"expected a JSON object, found {row.found}; the rest of the file cannot be read"
            )
        yield row
        start = end + 1
