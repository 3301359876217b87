"""Swapping values for extract tasks: a value of the answer, found in the input, becomes another one in both.

The row ``{"text": "play adele", "slots": {"artist": "adele"}}`` may become ``{"text": "play the new york pops",
"slots": {"artist": "the new york pops"}}``. A small model that sees each sentence with many values learns to
copy what stands there instead of remembering it. Only values of training rows are drawn, and the result is a
pure function of seed, epoch and row id.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone.data.checking import input_columns, output_columns
from hone.data.rows import Row
from hone.errors import InputError
from hone.task.spec import Task

MIN_VALUES = 20
MOST_RANDOM_WORDS = 4
Path = tuple[str | int, ...]
FieldName = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """A value that may be swapped: where it stands in an input column, and its path in the answer."""

    column: str
    start: int
    end: int
    path: Path
    field: FieldName


class SwapValues:
    """Swaps values of the same field in input and output together.

    A value may be swapped when it is a string of the answer, occurs exactly once in the input, on word
    boundaries, overlaps no other value there, and its field is open: it has ``min_values`` different values or
    more in the training rows. Everything else stays as it is, so every value that stood in the input still does.

    Args:
        task: gives the columns of input and output.
        rows: training rows, from which values are drawn.
        rate: share of the rows that are changed in an epoch.
        random_words: share of the swapped values that are 1 to 4 random words of open fields' values.
        value_rate: share of the values of a changed row that are swapped.
        min_values: different values that make a field open.
    """

    def __init__(
        self,
        task: Task,
        rows: Sequence[Row],
        rate: float,
        random_words: float = 0.0,
        *,
        value_rate: float = 1.0,
        min_values: int = MIN_VALUES,
    ) -> None:
        if task.kind != "extract":
            raise InputError(f"values are swapped in extract tasks only; this one is of kind {task.kind}")
        self.rate = rate
        self.random_words = random_words
        self.value_rate = value_rate
        self._inputs = input_columns(task)
        # A column that is also the input is not an answer found in it.
        self._outputs = [column for column in output_columns(task) if column not in self._inputs]
        self._values = self._open_fields(rows, min_values)
        self._ranks = {
            field: {value: rank for rank, value in enumerate(values)} for field, values in self._values.items()
        }
        self._words = sorted({word for values in self._values.values() for value in values for word in value.split()})
        self._sites: dict[str, tuple[Site, ...]] = {}

    @property
    def open_fields(self) -> dict[str, int]:
        """Fields whose values are swapped, with their number of different values."""
        return {".".join(field): len(values) for field, values in sorted(self._values.items())}

    def apply(self, row: Row, seed: int, epoch: int) -> Row:
        """The row as it is trained on in this epoch, under the same id; the row itself when nothing is swapped."""
        digest = hashlib.blake2b(f"{seed}:{epoch}:{row.id}".encode(), digest_size=16).digest()
        if int.from_bytes(digest[:8], "big") >= self.rate * 2**64:
            return row
        draw = random.Random(int.from_bytes(digest[8:], "big"))
        swaps = [
            (site, self._draw(site, row, draw))
            for site in self._sites_of(row)
            if self.value_rate >= 1 or draw.random() < self.value_rate
        ]
        return Row(row.id, _swapped(row.fields, swaps)) if swaps else row

    def _open_fields(self, rows: Sequence[Row], min_values: int) -> dict[FieldName, list[str]]:
        found: dict[FieldName, set[str]] = {}
        for row in rows:
            for path, value in self._leaves(row.fields):
                if value.strip():
                    found.setdefault(_field(path), set()).add(value)
        return {field: sorted(values) for field, values in found.items() if len(values) >= max(2, min_values)}

    def _leaves(self, fields: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
        for column in self._outputs:
            yield from _strings(fields.get(column), (column,))

    def _sites_of(self, row: Row) -> tuple[Site, ...]:
        sites = self._sites.get(row.id)
        if sites is None:
            sites = self._sites[row.id] = self._find_sites(row.fields)
        return sites

    def _find_sites(self, fields: Mapping[str, Any]) -> tuple[Site, ...]:
        texts = [(column, fields[column]) for column in self._inputs if isinstance(fields.get(column), str)]
        spans = [
            (path, value, [(column, start) for column, text in texts for start in _starts(text, value)])
            for path, value in self._leaves(fields)
            if value
        ]
        sites = []
        for path, value, places in spans:
            if len(places) != 1 or _field(path) not in self._values:
                continue
            column, start = places[0]
            site = Site(column, start, start + len(value), path, _field(path))
            others = [(c, s, s + len(v)) for other, v, ps in spans if other != path for c, s in ps]
            overlaps = any(c == column and s < site.end and e > start for c, s, e in others)
            if not overlaps and not _cuts_a_word(fields[column], site.start, site.end):
                sites.append(site)
        return tuple(sites)

    def _draw(self, site: Site, row: Row, draw: random.Random) -> str:
        if self.random_words and draw.random() < self.random_words:
            return " ".join(draw.choices(self._words, k=draw.randint(1, MOST_RANDOM_WORDS)))
        values = self._values[site.field]
        own = self._ranks[site.field].get(row.fields[site.column][site.start : site.end], len(values))
        rank = int(draw.random() * (len(values) - (own < len(values))))
        # Ranks from the value's own on move up by one, so that a value is never swapped with itself.
        return values[rank + (rank >= own)]


def _strings(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _strings(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _strings(part, (*path, index))


def _field(path: Path) -> FieldName:
    """The field of a path; members of a list are values of one field."""
    return tuple(part for part in path if isinstance(part, str))


def _starts(text: str, value: str) -> list[int]:
    starts = []
    at = text.find(value)
    while at >= 0:
        starts.append(at)
        at = text.find(value, at + 1)
    return starts


def _cuts_a_word(text: str, start: int, end: int) -> bool:
    before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
    return before or (end < len(text) and text[end].isalnum() and text[end - 1].isalnum())


def _swapped(fields: Mapping[str, Any], swaps: Sequence[tuple[Site, str]]) -> dict[str, Any]:
    changed = dict(fields)
    # From the last place to the first: earlier places keep their positions.
    for site, value in sorted(swaps, key=lambda swap: -swap[0].start):
        text = changed[site.column]
        changed[site.column] = text[: site.start] + value + text[site.end :]
    for column in {site.path[0] for site, _ in swaps}:
        changed[str(column)] = _copy(changed[str(column)])
    for site, value in swaps:
        part: Any = changed
        for step in site.path[:-1]:
            part = part[step]
        part[site.path[-1]] = value
    return changed


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value
