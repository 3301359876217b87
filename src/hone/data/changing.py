"""What happens to a row before it is measured: a person's edits, then the transforms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hone.data.formats.spans import respanned, span_changes
from hone.data.patches import Patches
from hone.data.rows import Bad, Row
from hone.data.transforms.base import Transform
from hone.data.view import transformed
from hone.data.wording import counted

_EDITS = "edits"


@dataclass(frozen=True, kw_only=True)
class Changing:
    """Edits and transforms of a data version.

    ``columns`` are those that carry text; None takes every column but those of ``leave``, so that what a transform
    takes out of a text is in no other column either.

    ``changed`` counts the rows that each transform changed, and those in which it moved or removed starts of answers in
    their context (:func:`~hone.data.formats.spans.respanned`), as edits do. The test split is transformed as training
    rows are, because the model is asked in the same shape, and is never edited by hand.

    ``hides_values``: whoever reads the rows says and keeps no value of a bad one.
    """

    transforms: Sequence[Transform] = ()
    columns: Sequence[str] | None = None
    leave: Sequence[str] = ()
    patches: Patches = field(default_factory=Patches)
    changed: Counter[str] = field(default_factory=Counter)
    hides_values: bool = False

    def over(self, split: str, rows: Iterable[Row | Bad]) -> Iterator[Row | Bad]:
        """Rows as they go on; bad rows pass."""
        for row in rows:
            if isinstance(row, Bad):
                yield row
            else:
                yield self.of(row if split == "test" else self._edited(row))

    def of(self, row: Row) -> Row:
        """One row after the transforms."""
        fields = row.fields
        columns = self.columns
        if columns is None:
            columns = [name for name in fields if name not in self.leave] if self.transforms else ()
        for transform in self.transforms:
            new = transformed(fields, transform.apply, columns)
            if new is not fields:
                self.changed[transform.name] += 1
                self.changed.update(f"{transform.name} ({what})" for what in span_changes(fields, new))
            fields = new
        return row if fields is row.fields else Row(row.id, fields)

    def _edited(self, row: Row) -> Row:
        edited = self.patches.applied(row)
        if edited is row:
            return row
        fields = respanned(row.fields, edited.fields, str)
        if fields is edited.fields:
            return edited
        self.changed.update(f"{_EDITS} ({what})" for what in span_changes(edited.fields, fields))
        return Row(row.id, fields)

    def said(self) -> list[str]:
        """``changed`` as lines, also of transforms that changed nothing."""
        names = dict.fromkeys([*(transform.name for transform in self.transforms), *self.changed])
        kinds = ("" if name.startswith(_EDITS) else "transform " for name in names)
        return [
            f"{kind}{name}: {counted(self.changed[name], 'row')} changed"
            for kind, name in zip(kinds, names, strict=True)
        ]

    def unedited(self) -> Changing:
        """The same transforms without edits and counts: what a sealed test needs later."""
        columns = None if self.columns is None else tuple(self.columns)
        return Changing(transforms=tuple(self.transforms), columns=columns, leave=tuple(self.leave))
