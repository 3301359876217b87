"""What a view takes from a row without a template: one column, or several joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hone.data.rows import canonical


@dataclass(frozen=True, kw_only=True, slots=True)
class Of:
    """The text of one column: as it is, JSON of an object or number, nothing where it is null or missing.

    ``blank_is_none``: a blank label is no label, instead of an empty one. So it is where nobody named the column: that
    a guess is wrong must cost no row.
    """

    column: str
    blank_is_none: bool = False

    def __call__(self, fields: Mapping[str, Any]) -> str:
        """The column's text in a row."""
        return shown(fields.get(self.column))


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """The texts of several columns, those that are blank left out.

    ``needs``: columns that a row must have; where none is named, it must have one of them all.
    """

    columns: tuple[str, ...]
    needs: tuple[str, ...] = ()
    between: str = "\n"

    def __call__(self, fields: Mapping[str, Any]) -> str:
        """The columns' texts in a row, in the order of ``columns``."""
        texts = [shown(fields.get(column)) for column in self.columns]
        return self.between.join(text for text in texts if text.strip())


def shown(value: Any) -> str:
    """A value as text: as it is, JSON of an object or number, nothing for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else canonical(value)
