"""Whether the first line of a CSV file is names of columns, or a row of a file that has no such line."""

from __future__ import annotations

from collections.abc import Sequence

from hone.data.columns import ANSWER_NAMES, BESIDE_NAMES, ID_NAMES, INPUT_NAMES, LABEL_NAMES, folded, reads_as_number
from hone.data.guessing import TEXT_NAMES

ROWS = 200
"""Rows at a file's beginning that are held against its header."""
_KNOWN = {
    *INPUT_NAMES, *LABEL_NAMES, *ANSWER_NAMES, *BESIDE_NAMES, *ID_NAMES, "name", "value", "score", "user", "author",
    *(name for names in TEXT_NAMES for name in names),
} - {""}  # fmt: skip
_MANY_WORDS = 3
_LONG_CHARS = 40
_SHOWN_CHARS = 60


class Header:
    """The cells of a file's first line, and the doubt whether they are names.

    Where one of them is a name that hone knows, there is none.
    """

    def __init__(self, cells: Sequence[str]) -> None:
        self._cells = tuple(cells)
        self._is_known = any(folded(cell) in _KNOWN for cell in cells)
        self.like_a_value = "" if self._is_known else next(filter(_is_like_a_value, cells), "")

    def hold_against(self, cells: Sequence[str]) -> None:
        """Compare with a row: a name seldom stands below itself."""
        if not self._is_known and not self.like_a_value:
            same = (name for name, cell in zip(self._cells, cells, strict=False) if folded(name) == folded(cell))
            self.like_a_value = next(same, "")

    def doubt(self, file: str, *, hides_values: bool = False) -> str:
        """A sentence for people, with the cell that is like a value unless these are hidden; nothing without doubt."""
        cell = self.like_a_value
        if not cell:
            return ""
        shown = cell if len(cell) <= _SHOWN_CHARS else f"{cell[:_SHOWN_CHARS]}…"
        told = "" if hides_values else f' ("{shown}")'
        names = f"{len(self._cells):,} names of columns" if len(self._cells) > 1 else "a name"
        return (
            f"{file}: the first line is read as names of columns{told}; if it is a row, it is lost: put a line "
            f"of {names} above it{', such as text,label' * (len(self._cells) == 2)}"
        )


def _is_like_a_value(cell: str) -> bool:
    return len(cell) > _LONG_CHARS or len(cell.split()) >= _MANY_WORDS or reads_as_number(cell)
