"""What happens to a row before it is measured: a person's edits, then the transforms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hone.data.formats.spans import respanned, span_changes
from hone.data.patches import Patches
from hone.data.rows import Bad, Row
from hone.data.transforms.base import OfTexts, Transform
from hone.data.view import transformed
from hone.wording import counted

_EDITS = "edits"
_ROUNDS = 8
OnStep = Callable[[Transform, Mapping[str, Any], Mapping[str, Any]], None]


def through(
    fields: dict[str, Any],
    transforms: Sequence[Transform],
    columns: Sequence[str],
    changed: Counter[str],
    texts: Sequence[str] | None = None,
    on_step: OnStep | None = None,
) -> dict[str, Any]:
    """A row's fields after the transforms, so that they change nothing in them a second time.

    Each changes nothing in its own output, but a later one may leave something to an earlier one: where a line goes,
    the next may look like the beginning of a page. So they run in turn until all others did nothing after one acted.

    Args:
        fields: the very same object comes back where nothing changes.
        transforms: in their order.
        columns: which texts are meant, see :func:`~hone.data.view.transformed`.
        changed: counts the row once for each transform that changed it.
        texts: the columns that transforms of whole texts (:class:`~hone.data.transforms.base.OfTexts`) take, where
            these are fewer: a title is no page of one line.
        on_step: takes each transform that changed something, with the fields before and after it.
    """
    names: dict[str, None] = {}
    idle, enough = 0, len(transforms)
    for transform in [*transforms] * _ROUNDS:
        if idle == enough:
            break
        taken = columns if texts is None or not isinstance(transform, OfTexts) else texts
        new = transformed(fields, transform.apply, taken)
        if new is fields or new == fields:
            idle += 1
        else:
            names |= dict.fromkeys([transform.name, *_spans(transform.name, fields, new)])
            if on_step is not None:
                on_step(transform, fields, new)
            fields = new
            # The others have to be asked again; this one has nothing to do on what it made.
            idle, enough = 0, len(transforms) - 1
    changed.update(list(names))
    return fields


def _spans(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [f"{name} ({what})" for what in span_changes(old, new)]


@dataclass(frozen=True, kw_only=True)
class Changing:
    """Edits and transforms of a data version.

    ``columns`` are those that carry text; None takes every column but those of ``leave``, so that what a transform
    takes out of a text is in no other column either.

    ``changed`` counts the rows that each transform changed, and those in which it moved or removed starts of answers in
    their context (:func:`~hone.data.formats.spans.respanned`), as edits do. The test split is transformed as training
    rows are, because the model is asked in the same shape, and is never edited by hand.

    ``hides_values``: whoever reads the rows says and keeps no value of a bad one, nor of one whose edit is outdated.
    """

    transforms: Sequence[Transform] = ()
    columns: Sequence[str] | None = None
    leave: Sequence[str] = ()
    texts: Sequence[str] | None = None
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

    def of(self, row: Row, on_step: OnStep | None = None) -> Row:
        """One row after the transforms; ``on_step`` as in :func:`through`."""
        columns = self.columns
        if columns is None:
            columns = [name for name in row.fields if name not in self.leave] if self.transforms else ()
        fields = through(row.fields, self.transforms, columns, self.changed, self.texts, on_step)
        return row if fields is row.fields else Row(row.id, fields)

    def _edited(self, row: Row) -> Row:
        edited = self.patches.applied(row, hides_values=self.hides_values)
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
        texts = None if self.texts is None else tuple(self.texts)
        return Changing(transforms=tuple(self.transforms), columns=columns, leave=tuple(self.leave), texts=texts)
