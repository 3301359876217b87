"""A row of data, a bad row, and the folding that says when two texts are the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_NOT_WORD = re.compile(r"\W+")
NOT_SHOWN = "content that is not shown"
"""What was found in a bad row of the test, and of rows that are looked at with ``--sensitive``."""
_PLAIN = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``id`` is ``<file name>:<1-based line or record>``; ``fields`` may be nested."""

    id: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be used: where, which field ("" for the row as a whole), what was expected and found."""

    id: str
    field: str
    expected: str
    found: str

    def without_value(self) -> Bad:
        """The same without what was found, where that may not be shown."""
        return Bad(self.id, self.field, self.expected, NOT_SHOWN)


def told(rows: Sequence[Bad]) -> str:
    """Bad rows in a sentence: which they are, and what was found in each where that may be shown."""
    if rows and rows[0].found == NOT_SHOWN:
        return f"{', '.join(bad.id for bad in rows)}, with {NOT_SHOWN}"
    return "; ".join(f"{bad.id} has {bad.found}" for bad in rows)


def fold(text: str) -> str:
    """Lower case with every run of punctuation or space as one space: two texts that fold alike are one text."""
    return _NOT_WORD.sub(" ", text.lower()).strip()


def fingerprint(text: str) -> str:
    """16 hex digits that equal texts after folding share.

    A text without any letter or digit folds to nothing; it is compared as it stands, so that ``"?!"`` and a
    smiley are not taken for the same text.
    """
    key = fold(text) or text.strip()
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def canonical(value: Any) -> str:
    """Compact JSON with sorted keys: equal values give equal text."""
    if _is_written_one_way(value):
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:  # half a surrogate pair, an integer of more than 64 bits, a key that is no text
            pass
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def _is_written_one_way(value: Any) -> bool:
    """Whether the fast writer gives the same text as ``json``: not for floats with an exponent (1e-7 and 1e-07)."""
    kind = type(value)
    if kind is dict:
        return all(type(part) in _PLAIN or _is_written_one_way(part) for part in value.values())
    if kind is list:
        return all(type(part) in _PLAIN or _is_written_one_way(part) for part in value)
    return kind in _PLAIN or (kind is float and (value == 0 or 1e-4 <= abs(value) < 1e16))


def rows_digest(rows: Iterable[Row]) -> str:
    """64 hex digits over the ids and fields of rows, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical([row.id, row.fields]).encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()


def kind_of(value: Any) -> str:
    """The kind of a value as an error names it, with a short look at it."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return f"an object with {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"
