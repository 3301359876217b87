"""Which row of one data version is which row of another, though lines were inserted or removed between them.

Rows are first told by id and content together, then by content; a row whose content has changed too is taken to have
moved by as many lines as the nearest row before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

Stored = dict[str, tuple[str, str]]
"""Row id to split and digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """``pairs``: for rows of the later version that the earlier one has too, their id there; ``back``: turned round."""

    pairs: Mapping[str, str]
    back: Mapping[str, str]
    forward: Shifts
    backward: Shifts

    def before(self, row: str) -> str:
        """The id that a row of the later version had in the earlier one, kept there or not."""
        return self.pairs.get(row) or self.backward.of(row)

    def after(self, row: str) -> str:
        """The id that a row of the earlier version has in the later one."""
        return self.back.get(row) or self.forward.of(row)


class Shifts:
    """By how many lines the rows of each source have moved, from rows of which it is known."""

    def __init__(self, known: Mapping[str, str]) -> None:
        found: dict[str, list[tuple[int, int]]] = {}
        for row, other in known.items():
            source, line = _place(row)
            its_source, its_line = _place(other)
            if line and its_line and source == its_source:
                found.setdefault(source, []).append((line, its_line - line))
        self._lines: dict[str, list[int]] = {}
        self._by: dict[str, list[int]] = {}
        for source, places in found.items():
            places.sort()
            self._lines[source] = [line for line, _ in places]
            self._by[source] = [shift for _, shift in places]

    def of(self, row: str) -> str:
        """The id that a row has on the other side, as the nearest row before it has moved (at the top: after it)."""
        source, line = _place(row)
        if not line or source not in self._lines:
            return row
        at = bisect_right(self._lines[source], line) - 1
        return f"{source}:{line + self._by[source][max(at, 0)]}"


def align(old: Stored, new: Stored) -> Alignment:
    """Tell the rows of two versions by id, content and the lines that were inserted or removed between them."""
    pairs = {row: row for row in new if row in old and old[row][1] == new[row][1]}
    waiting: dict[str, list[str]] = {}
    for row in reversed(old):
        if row not in pairs:
            waiting.setdefault(old[row][1], []).append(row)
    for row, (_, digest) in new.items():
        if row not in pairs and waiting.get(digest):
            pairs[row] = waiting[digest].pop()
    taken = set(pairs.values())
    backward = Shifts(pairs)
    for row in new:
        if row not in pairs and (other := backward.of(row)) in old and other not in taken:
            pairs[row] = other
            taken.add(other)
    back = {other: row for row, other in pairs.items()}
    return Alignment(pairs=pairs, back=back, forward=Shifts(back), backward=Shifts(pairs))


def _place(row: str) -> tuple[str, int]:
    """Source and line of a row id; line 0 where the id does not end in a number."""
    source, _, line = row.rpartition(":")
    return source, int(line) if line.isdecimal() else 0
